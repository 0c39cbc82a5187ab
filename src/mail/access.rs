//! What access to the mail server takes: TLS settings, CA certificates and the password, each read
//! from its file once, with an error that names the key and the remedy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};

use super::relay::Protection;
use crate::config::{self, MailSecurity};
use crate::domain::fault::Fault;

/// The largest file read as a password or a list of CA certificates, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Whether the files that the conversation needs can be used.
///
/// # Errors
/// What is wrong with the first that cannot.
pub fn check(config: &config::Mail) -> Result<(), Fault> {
    protection(config)?;
    credentials(config).map(|_| ())
}

/// How the conversation is to be protected.
pub(super) fn protection(config: &config::Mail) -> Result<Protection, Fault> {
    Ok(match config.security {
        MailSecurity::StartTls => Protection::StartTls(tls(config)?),
        MailSecurity::Tls => Protection::Tls(tls(config)?),
        MailSecurity::DangerPlain => Protection::Plain,
    })
}

/// The certificates the server's own must be signed by: those of `ca_file` alone, or the system's.
fn tls(config: &config::Mail) -> Result<TlsParameters, Fault> {
    let mut builder = TlsParameters::builder(config.smtp_host.clone());
    if let Some(path) = &config.ca_file {
        let unusable = |why: String| Fault::corrupt(format!("[mail] ca_file {} cannot be used", path.display()), why);
        let pem = read("ca_file", path)?;
        if !pem.windows(27).any(|bytes| bytes == b"-----BEGIN CERTIFICATE-----") {
            return Err(unusable("there is no certificate in PEM form in it".into()));
        }
        let certificates = Certificate::from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(certificates);
    }
    builder
        .build()
        .map_err(|error| Fault::corrupt(format!("could not prepare TLS to {}", config.smtp_host), error))
}

/// The user name and password, when the server asks for them.
pub(super) fn credentials(config: &config::Mail) -> Result<Option<Credentials>, Fault> {
    match (&config.username, &config.password_file) {
        (None, None) => Ok(None),
        (Some(username), Some(path)) => Ok(Some(Credentials::new(username.clone(), password(path)?))),
        (Some(_), None) => Err(Fault::corrupt(
            "[mail] username is set without password_file",
            "set both, or neither",
        )),
        (None, Some(_)) => Err(Fault::corrupt(
            "[mail] password_file is set without username",
            "set both, or neither",
        )),
    }
}

fn password(path: &Path) -> Result<String, Fault> {
    let unusable = |why: &str| {
        Fault::corrupt(
            format!("[mail] password_file {} cannot be used", path.display()),
            why.to_owned(),
        )
    };
    let bytes = read("password_file", path)?;
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        return Err(unusable("everybody on this machine may read it; run chmod 0600 on it"));
    }
    let text = String::from_utf8(bytes).map_err(|_| unusable("it is not text in UTF-8"))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(unusable("it is empty"));
    }
    Ok(password.to_owned())
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, Fault> {
    let what = || format!("could not read [mail] {key} {}", path.display());
    let size = fs::metadata(path)
        .map_err(|error| Fault::unavailable(what(), error))?
        .len();
    if size > MAX_FILE {
        return Err(Fault::corrupt(
            what(),
            format!("it has {size} bytes; is it the right file?"),
        ));
    }
    fs::read(path).map_err(|error| Fault::unavailable(what(), error))
}
