//! The certificates being served, and how they follow their files.
//!
//! The files are looked at twice a second, as the pepper is. Watching their directories would not save the looking:
//! certificates stand behind links that are turned as a whole (certbot, Kubernetes) or on network drives, where no notice
//! comes, and looking costs a few microseconds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::TlsFiles;
use crate::domain::fault::Fault;

use super::choice::Choice;
use super::pair::{Pair, Stamp};
use super::survey::SOON;

/// A certificate that runs out soon is spoken of once in this time.
const REMIND: SignedDuration = SignedDuration::from_hours(24);

/// The certificates being served.
#[derive(Debug)]
pub struct Certificates {
    choice: ArcSwap<Choice>,
    followed: Mutex<Vec<Followed>>,
}

/// One pair and its files.
#[derive(Debug)]
struct Followed {
    files: TlsFiles,
    pair: Pair,
    /// How the files were when the pair was read.
    taken: Stamp,
    /// How they were when what they hold could not be served, so that this is said once.
    refused: Option<Stamp>,
    /// How they were the last time nothing could be made of them: they may be half written.
    doubted: Option<Stamp>,
    reminded: Option<Timestamp>,
}

impl Certificates {
    /// Reads all pairs; the first also serves who asks for no name.
    ///
    /// # Errors
    /// When one of them cannot be read, or certificate and key do not belong together.
    pub fn open(files: Vec<TlsFiles>) -> Result<Self, Fault> {
        let mut followed = Vec::with_capacity(files.len());
        for files in files {
            // Before reading: what changes meanwhile is seen by the next round.
            let taken = Stamp::of(&files);
            followed.push(Followed {
                pair: Pair::read(&files)?,
                files,
                taken,
                refused: None,
                doubted: None,
                reminded: None,
            });
        }
        Ok(Self {
            choice: ArcSwap::from_pointee(Choice::among(followed.iter().map(|one| &one.pair))),
            followed: Mutex::new(followed),
        })
    }

    /// Takes up what has changed in the files, where it can be served; says what cannot, and what runs out soon.
    /// Answers when the first of the certificates runs out.
    pub fn follow(&self, now: Timestamp) -> Option<Timestamp> {
        let mut followed = self.followed.lock();
        let mut changed = false;
        for one in followed.iter_mut() {
            changed |= one.look(now);
            one.remind(now);
        }
        if changed {
            let choice = Choice::among(followed.iter().map(|one| &one.pair));
            self.choice.store(Arc::new(choice));
        }
        followed.iter().map(|one| one.pair.facts.until).min()
    }
}

impl Followed {
    /// Whether there is a new certificate.
    fn look(&mut self, now: Timestamp) -> bool {
        let stamp = Stamp::of(&self.files);
        if stamp == self.taken || Some(stamp) == self.refused {
            return false;
        }
        match Pair::renewed(&self.files, now) {
            Ok(pair) => {
                let is_new = !pair.is(&self.pair);
                (self.pair, self.taken) = (pair, stamp);
                (self.refused, self.doubted) = (None, None);
                if is_new {
                    self.reminded = None;
                    self.tell_renewed();
                }
                is_new
            }
            Err(fault) if self.doubted == Some(stamp) => {
                self.refused = Some(stamp);
                tracing::error!(
                    certificate = %self.files.certificate.display(),
                    fault = fault.chain(),
                    until = %self.pair.facts.until,
                    "a new certificate was refused; the one before serves on"
                );
                false
            }
            // Certificate and key are two files: the second may be under way.
            Err(_) => {
                self.doubted = Some(stamp);
                false
            }
        }
    }

    fn tell_renewed(&self) {
        let facts = &self.pair.facts;
        tracing::info!(
            certificate = %self.files.certificate.display(),
            names = facts.names.join(" "),
            until = %facts.until,
            "a new certificate is served; open connections go on"
        );
        let key = &self.files.key;
        if fs::metadata(key).is_ok_and(|key| key.permissions().mode() & 0o007 != 0) {
            tracing::warn!(key = %key.display(), "this private key is open to everybody on this machine; run chmod o= on it");
        }
    }

    fn remind(&mut self, now: Timestamp) {
        let left = self.pair.facts.until.duration_since(now);
        let said = self.reminded.is_some_and(|at| now.duration_since(at) < REMIND);
        if left > SOON || said {
            return;
        }
        self.reminded = Some(now);
        let (certificate, until) = (self.files.certificate.display(), self.pair.facts.until);
        if left.is_positive() {
            tracing::warn!(%certificate, %until, days = left.as_hours() / 24, "this certificate runs out soon; renew it");
        } else {
            tracing::error!(%certificate, %until, "this certificate has run out: browsers turn people away");
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choice
            .load()
            .choose(hello.server_name(), hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::SignatureScheme;

    use super::*;

    struct Desk {
        _directory: tempfile::TempDir,
        files: TlsFiles,
    }

    impl Desk {
        fn new() -> Self {
            rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
            let directory = tempfile::tempdir().unwrap();
            let files = TlsFiles {
                certificate: directory.path().join("tls.pem"),
                key: directory.path().join("tls.key"),
            };
            let desk = Self {
                _directory: directory,
                files,
            };
            let (certificate, key) = Self::issue(2040);
            desk.put(Some(&certificate), Some(&key));
            desk
        }

        fn issue(until: i32) -> (String, String) {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["door.example".to_owned()]).unwrap();
            params.not_after = date_time_ymd(until, 1, 1);
            (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
        }

        fn put(&self, certificate: Option<&str>, key: Option<&str>) {
            for (content, path) in [(certificate, &self.files.certificate), (key, &self.files.key)] {
                if let Some(content) = content {
                    // As renewals do it: a new file, renamed into place.
                    let draft = path.with_extension("new");
                    fs::write(&draft, content).unwrap();
                    fs::rename(&draft, path).unwrap();
                }
            }
        }
    }

    fn now() -> Timestamp {
        "2026-11-26T12:00:00Z".parse().unwrap()
    }

    fn served(certificates: &Certificates) -> Vec<u8> {
        let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let chosen = certificates.choice.load().choose(None, &schemes).unwrap();
        chosen.cert.first().unwrap().to_vec()
    }

    #[test]
    fn a_renewed_pair_is_served_and_half_of_one_is_not() {
        let desk = Desk::new();
        let certificates = Certificates::open(vec![desk.files.clone()]).unwrap();
        let first = served(&certificates);
        assert_eq!(certificates.follow(now()).unwrap().to_string(), "2040-01-01T00:00:00Z");
        let (certificate, key) = Desk::issue(2041);
        desk.put(Some(&certificate), None);
        certificates.follow(now());
        assert_eq!(served(&certificates), first, "the key is not there yet");
        desk.put(None, Some(&key));
        assert_eq!(certificates.follow(now()).unwrap().to_string(), "2041-01-01T00:00:00Z");
        assert_ne!(served(&certificates), first);
    }

    #[test]
    fn what_cannot_be_served_is_refused_once_and_what_comes_after_it_is_taken() {
        let desk = Desk::new();
        let certificates = Certificates::open(vec![desk.files.clone()]).unwrap();
        let first = served(&certificates);
        for broken in [
            Some("not PEM".to_owned()),
            Some(Desk::issue(2040).0),
            Some(Desk::issue(2025).0),
        ] {
            desk.put(broken.as_deref(), None);
            for _ in 0..3 {
                certificates.follow(now());
                assert_eq!(served(&certificates), first);
            }
            assert!(certificates.followed.lock()[0].refused.is_some());
        }
        let (expired, key) = Desk::issue(2025);
        desk.put(Some(&expired), Some(&key));
        certificates.follow(now());
        certificates.follow(now());
        assert_eq!(served(&certificates), first, "it has run out");
        fs::remove_file(&desk.files.key).unwrap();
        certificates.follow(now());
        assert_eq!(served(&certificates), first, "it is gone");
        let (certificate, key) = Desk::issue(2042);
        desk.put(Some(&certificate), Some(&key));
        certificates.follow(now());
        assert_ne!(served(&certificates), first);
        assert_eq!(certificates.followed.lock()[0].refused, None);
    }

    #[test]
    fn an_end_that_is_near_is_spoken_of_once_a_day() {
        let desk = Desk::new();
        let certificates = Certificates::open(vec![desk.files.clone()]).unwrap();
        let reminded = || certificates.followed.lock()[0].reminded;
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        certificates.follow(at("2039-12-10T00:00:00Z"));
        assert_eq!(reminded(), None);
        let near = at("2039-12-12T00:00:00Z");
        certificates.follow(near);
        certificates.follow(at("2039-12-12T23:00:00Z"));
        assert_eq!(reminded(), Some(near));
        certificates.follow(at("2039-12-13T00:00:00Z"));
        assert_eq!(reminded(), Some(at("2039-12-13T00:00:00Z")));
    }
}
