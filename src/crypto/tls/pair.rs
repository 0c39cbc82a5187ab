//! A certificate and its key, as two files hold them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;
use crate::crypto::certificate::Facts;
use crate::domain::fault::Fault;

/// A certificate with its key, ready to be served.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What handshakes are made with.
    pub key: Arc<CertifiedKey>,
    /// What the certificate says.
    pub facts: Facts,
}

impl Pair {
    /// Reads both files.
    ///
    /// # Errors
    /// When one of them cannot be read, or they do not belong together.
    pub fn read(files: &TlsFiles) -> Result<Self, Fault> {
        let (chain, key) = (&files.certificate, &files.key);
        let reading = |path: &Path| format!("could not read the TLS file {}", path.display());
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(chain)
            .map_err(|error| Fault::unavailable(reading(chain), error))?
            .collect();
        let certificates = certificates.map_err(|error| Fault::corrupt(reading(chain), error))?;
        let Some(leaf) = certificates.first() else {
            return Err(Fault::corrupt(reading(chain), "it holds no certificate in PEM form"));
        };
        let facts = Facts::of(leaf).map_err(|why| Fault::corrupt(reading(chain), why))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| Fault::corrupt(reading(key), error))?;
        let provider = CryptoProvider::get_default()
            .ok_or_else(|| Fault::corrupt("no TLS provider is installed", "this is a fault of the gateway"))?;
        let key = CertifiedKey::from_der(certificates, private, provider).map_err(|error| {
            let what = format!(
                "the certificate {} and the key {} do not belong together, or one of them is broken",
                chain.display(),
                key.display()
            );
            Fault::corrupt(what, error)
        })?;
        Ok(Self {
            key: Arc::new(key),
            facts,
        })
    }

    /// The same, to take the place of a pair that is being served: one that has run out is no renewal.
    ///
    /// # Errors
    /// Those of [`Pair::read`], and that it has run out.
    pub fn renewed(files: &TlsFiles, now: Timestamp) -> Result<Self, Fault> {
        let pair = Self::read(files)?;
        if pair.facts.until > now {
            return Ok(pair);
        }
        let what = format!("the certificate in {} is no renewal", files.certificate.display());
        Err(Fault::corrupt(what, format!("it ran out at {}", pair.facts.until)))
    }

    /// Whether both are the same certificate.
    pub fn is(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }
}

/// What tells a changed file from an unchanged one, however it was changed: written over, renamed into place, or behind
/// a link that now leads elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp([Option<[i64; 6]>; 2]);

impl Stamp {
    /// Of both files as they are now.
    pub fn of(files: &TlsFiles) -> Self {
        Self([&files.certificate, &files.key].map(|path| {
            let file = fs::metadata(path).ok()?;
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            Some([
                number(file.ino()) ^ number(file.dev()).rotate_left(32),
                number(file.size()),
                file.mtime(),
                file.mtime_nsec(),
                // Rights that were put in order change nothing else.
                file.ctime(),
                file.ctime_nsec(),
            ])
        }))
    }
}
