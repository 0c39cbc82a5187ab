//! The certificate that a client proved to hold, as the upstream is told of it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// A client's certificate, verified in the TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of its binary form.
    pub thumbprint: Vec<u8>,
    /// Whose it is, as its authority wrote it.
    pub subject: Option<String>,
}

/// The claim `cnf` (RFC 7800) for a certificate (RFC 8705 section 3.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The thumbprint in base64url.
    #[serde(rename = "x5t#S256")]
    pub x5t_s256: String,
}

impl ClientCertificate {
    /// What is said of it.
    pub fn confirmation(&self) -> Confirmation {
        Confirmation {
            x5t_s256: BASE64_URL_SAFE_NO_PAD.encode(&self.thumbprint),
        }
    }
}
