//! What the metrics tell of the configuration in force.

use sha2::{Digest, Sha256};

use crate::config::{Config, MailSecurity};
use crate::telemetry::metrics::AboutConfig;

/// A digest that changes with any key, and what weakens the gateway.
pub(super) fn about(config: &Config) -> AboutConfig {
    let digest = Sha256::digest(config.show());
    let beginning = digest
        .iter()
        .take(6)
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    AboutConfig {
        digest: format!("{beginning:012x}"),
        limits: config.limits.enabled,
        mail_security: match config.mail.security {
            MailSecurity::StartTls => "starttls",
            MailSecurity::Tls => "tls",
            MailSecurity::DangerPlain => "danger_plain",
        },
    }
}
