//! The keys of `[server]` that are about TLS: certificates, versions.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::Server;
use crate::config::keys::forms::{Form, Given, List, Misread, OneOf, path};
use crate::config::keys::{Slot, Walker};

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file with the chain.
    pub certificate: PathBuf,
    /// PEM file with the key.
    pub key: PathBuf,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    V1_2,
    /// TLS 1.3 alone.
    V1_3,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Nobody is.
    #[default]
    Off,
    /// A client may have one.
    Optional,
    /// Without one there is no connection.
    Required,
}

impl Server {
    /// Every certificate, the one that serves who asks for no name first.
    pub fn certificates(&self) -> Vec<TlsFiles> {
        let first = TlsFiles {
            certificate: self.tls_certificate.clone(),
            key: self.tls_key.clone(),
        };
        std::iter::once(first)
            .chain(self.more_certificates.iter().cloned())
            .collect()
    }

    pub(super) fn walk_tls(&mut self, walker: &mut impl Walker) {
        walker.key(
            "tls_certificate",
            "PEM file with the certificate, followed by its intermediates. Together with more_certificates it must be valid \
             for every door. A renewed file is served within a second, without a restart; one that is broken or does not \
             belong to its key is refused with a line in the log, and the one before serves on.",
            &path(),
            Slot::Default(&mut self.tls_certificate),
        );
        walker.key(
            "tls_key",
            "PEM file with the private key of the certificate. It must not be readable by everybody: mode 0600, or 0640 \
             with the gateway's group.",
            &path(),
            Slot::Default(&mut self.tls_key),
        );
        walker.key(
            "more_certificates",
            "More certificates with their keys, such as [{ certificate = \"/etc/sekisho/tls/b.pem\", key = \
             \"/etc/sekisho/tls/b.key\" }]. Who asks for a name gets the certificate with exactly this name in it, else one \
             with a wildcard for it, else the one above. One name may have both an ECDSA and an RSA certificate.",
            &List { of: Pair, least: 0 },
            Slot::Default(&mut self.more_certificates),
        );
        walker.key(
            "tls_min",
            "The oldest version of TLS that is spoken: \"1.2\" or \"1.3\". Every browser since 2019 speaks 1.3; some programs \
             on old systems do not.",
            &OneOf(vec![("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)]),
            Slot::Default(&mut self.tls_min),
        );
        walker.key(
            "client_certificates",
            "Whether clients are asked for a certificate: \"off\", \"optional\", or \"required\", and then nobody connects \
             without one. People sign in all the same; the web client is told of the certificate in the assertion \
             (docs/assertion.md).",
            &OneOf(vec![
                ("off", ClientCertificates::Off),
                ("optional", ClientCertificates::Optional),
                ("required", ClientCertificates::Required),
            ]),
            Slot::Default(&mut self.client_certificates),
        );
        walker.key(
            "client_ca_file",
            "PEM file with the authorities whose certificates clients may have. It is read at the start.",
            &path(),
            Slot::Optional(&mut self.client_ca_file, "/etc/sekisho/tls/clients-ca.pem".into()),
        );
        let lost = self.client_certificates != ClientCertificates::Off && self.client_ca_file.is_none();
        walker.check(&["server.client_certificates", "server.client_ca_file"], || {
            if lost {
                return Err("nobody could verify them: server.client_ca_file is missing".to_owned());
            }
            Ok(())
        });
    }
}

/// A certificate with its key: `{ certificate = "..", key = ".." }`.
struct Pair;

impl Form for Pair {
    type Value = TlsFiles;

    fn read(&self, given: &Given<'_>) -> Result<TlsFiles, Vec<Misread>> {
        let wrong = |at, why: String| Misread { at, why };
        let start = given.span().start;
        let Some(table) = given.get_ref().as_table() else {
            let why = "a certificate is written with its key: { certificate = \"..\", key = \"..\" }";
            return Err(vec![wrong(start, why.to_owned())]);
        };
        let mut misread: Vec<_> = table
            .keys()
            .filter(|name| !["certificate", "key"].contains(&&**name.get_ref()))
            .map(|name| {
                wrong(
                    name.span().start,
                    format!("{:?} is neither certificate nor key", name.get_ref()),
                )
            })
            .collect();
        let mut file = |name: &str| match table.get(name) {
            None => {
                misread.push(wrong(start, format!("{name} is missing")));
                None
            }
            Some(value) => path().read(value).map_err(|more| misread.extend(more)).ok(),
        };
        match (file("certificate"), file("key")) {
            (Some(certificate), Some(key)) if misread.is_empty() => Ok(TlsFiles { certificate, key }),
            _ => Err(misread),
        }
    }

    fn write(&self, value: &TlsFiles) -> toml::Value {
        let entry = |name: &str, file| (name.to_owned(), path().write(file));
        toml::Table::from_iter([entry("certificate", &value.certificate), entry("key", &value.key)]).into()
    }

    fn schema(&self) -> Json {
        let file = path().schema();
        json!({
            "type": "object",
            "properties": { "certificate": file, "key": file },
            "required": ["certificate", "key"],
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn with(line: &str) -> String {
        let text = Config::documented();
        text.replace("\nmore_certificates = []", &format!("\nmore_certificates = {line}"))
    }

    #[test]
    fn certificates_are_read_with_their_keys_and_written_as_they_were_read() {
        let text = with("[{ certificate = \"/b.pem\", key = \"/b.key\" }]");
        let config = Config::parse(&text, Path::new("c.toml")).unwrap();
        let files = config.server.certificates();
        assert_eq!(files.len(), 2);
        assert_eq!(
            (files[1].certificate.as_path(), files[1].key.as_path()),
            (Path::new("/b.pem"), Path::new("/b.key"))
        );
        assert_eq!(Config::parse(&config.show(), Path::new("shown")).unwrap(), config);
    }

    #[test]
    fn everything_wrong_with_a_certificate_is_said() {
        for (line, words) in [
            ("[\"/b.pem\"]", "with its key"),
            ("[{ certificate = \"/b.pem\" }]", "key is missing"),
            ("[{ certificate = 1, key = \"/b.key\" }]", "1 is not text"),
            (
                "[{ certificate = \"/b.pem\", key = \"/b.key\", names = 1 }]",
                "\"names\" is neither",
            ),
        ] {
            let errors = Config::parse(&with(line), Path::new("c.toml")).unwrap_err();
            assert_eq!(errors.0.len(), 1, "{errors:?}");
            assert!(errors.0[0].to_string().contains(words), "{errors:?}");
        }
    }
}
