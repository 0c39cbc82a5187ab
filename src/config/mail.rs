//! `[mail]`: how letters leave.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use url::Host;

use super::keys::forms::{Count, OneOf, Text, Time, line, parsed, path};
use super::keys::{Slot, Walker};
use super::limits::fixed;
use crate::domain::account::Email;
use crate::domain::limits::Quota;

/// `[mail]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Sender address.
    pub from: String,
    /// Sender's name. Default: the product name of `[branding]`.
    pub from_name: Option<String>,
    /// Where bounces go: the envelope sender, with a tag for each letter. Default: none, and `from` is the sender.
    pub bounces: Option<String>,
    /// Mail server: a host name or an address (IPv6 without brackets).
    pub smtp_host: String,
    /// Default: 587, or 465 with `tls`, or 25 with `danger_plain`.
    pub smtp_port: u16,
    /// `starttls` (default), `tls` or `danger_plain`.
    pub security: MailSecurity,
    /// PEM file with the CA certificates that sign the server's certificate. Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// User name for authentication. Default none.
    pub username: Option<String>,
    /// File with its password (0600).
    pub password_file: Option<PathBuf>,
    /// Time limit of one conversation. Default `30s`.
    pub timeout: Duration,
    /// `rate`: how fast Welcomes and letters of an import leave. Default `60 per 1m`.
    pub rate: Quota,
}

/// The longest local part of `bounces`, in bytes: with `+` and the tag of a letter it makes the 64 that mail servers
/// take.
pub const LONGEST_RETURN_LOCAL: usize = 21;

/// How the conversation with the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// Begins in the clear and must turn to TLS; never falls back.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// In the clear: for a mail server on this machine.
    DangerPlain,
}

impl MailSecurity {
    /// The port mail servers offer it on.
    const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::DangerPlain => 25,
        }
    }
}

impl Default for Mail {
    fn default() -> Self {
        let security = MailSecurity::StartTls;
        Self {
            from: "no-reply@example.com".to_owned(),
            from_name: None,
            bounces: None,
            smtp_host: "smtp.example.com".to_owned(),
            smtp_port: security.port(),
            security,
            ca_file: None,
            username: None,
            password_file: None,
            timeout: Duration::from_secs(30),
            rate: fixed("60 per 1m"),
        }
    }
}

impl Mail {
    /// Whether letters leave this machine in the clear.
    pub(super) fn is_exposed(&self) -> bool {
        let address = self.smtp_host.parse::<IpAddr>();
        let here = address.map_or(self.smtp_host == "localhost", |address| address.is_loopback());
        self.security == MailSecurity::DangerPlain && !here
    }

    pub(super) fn walk(&mut self, walker: &mut impl Walker) {
        walker.section(
            "mail",
            "Required. How letters leave: they carry the links that set passwords, so the way must be protected.",
        );
        walker.key(
            "from",
            "The sender's address, in a domain whose SPF and DKIM cover the mail server.",
            &Text {
                parse: |text| match Email::parse(text) {
                    Ok(email) => Ok(email.as_typed().to_owned()),
                    Err(why) => Err(format!("{text:?}: {why}")),
                },
                print: Clone::clone,
                schema: json!({ "format": "email" }),
            },
            Slot::Required(&mut self.from),
        );
        walker.key(
            "from_name",
            "The sender's name. Without it, the name of [branding].",
            &line(),
            Slot::Optional(&mut self.from_name, "Example Phone".to_owned()),
        );
        walker.key(
            "bounces",
            "The mailbox that takes mail which comes back. Each letter then leaves with an envelope sender of its own, \
             \"bounces+TAG@example.com\", and `sekisho mail bounce` reads what comes there: see docs/bounces.md. The mail \
             server must take such addresses and deliver them to that mailbox. Without it, what bounces after the mail \
             server took it is seen by nobody here.",
            &Text {
                parse: parse_bounces,
                print: Clone::clone,
                schema: json!({ "format": "email" }),
            },
            Slot::Optional(&mut self.bounces, "bounces@example.com".to_owned()),
        );
        walker.key(
            "smtp_host",
            "The mail server: a host name, which is also the name its certificate must have, or an address.",
            &Text {
                parse: parse_host,
                print: Clone::clone,
                schema: json!({ "minLength": 1 }),
            },
            Slot::Required(&mut self.smtp_host),
        );
        walker.key(
            "security",
            "\"starttls\" turns to TLS before anything is said and never falls back, \"tls\" begins with it. \
             \"danger_plain\" sends letters and their links in the clear: for a mail server on this machine alone.",
            &OneOf(vec![
                ("starttls", MailSecurity::StartTls),
                ("tls", MailSecurity::Tls),
                ("danger_plain", MailSecurity::DangerPlain),
            ]),
            Slot::Default(&mut self.security),
        );
        walker.key(
            "smtp_port",
            "Without it, 587; 465 with \"tls\"; 25 with \"danger_plain\".",
            &Count {
                least: 1,
                most: u16::MAX,
            },
            Slot::Derived(&mut self.smtp_port, self.security.port()),
        );
        self.walk_trust(walker);
    }

    fn walk_trust(&mut self, walker: &mut impl Walker) {
        walker.key(
            "ca_file",
            "PEM file with the CA certificates that sign the mail server's certificate. Without it, those of the system \
             are believed. The certificate is always verified.",
            &path(),
            Slot::Optional(&mut self.ca_file, "/etc/sekisho/tls/smtp-ca.pem".into()),
        );
        walker.key(
            "username",
            "User name at the mail server, where it asks for one.",
            &line(),
            Slot::Optional(&mut self.username, "sekisho".to_owned()),
        );
        walker.key(
            "password_file",
            "File with the password of that user, mode 0600. The password itself never stands in this file.",
            &path(),
            Slot::Optional(&mut self.password_file, "/etc/sekisho/secrets/smtp-password".into()),
        );
        let (username, password) = (self.username.is_some(), self.password_file.is_some());
        walker.check(&["mail.username", "mail.password_file"], || {
            match (username, password) {
                (true, false) => Err("it needs mail.password_file as well: the file with the password".to_owned()),
                (false, true) => Err("it needs mail.username as well: whose password it is".to_owned()),
                _ => Ok(()),
            }
        });
        walker.key(
            "timeout",
            "The most one conversation with the mail server may take. What could not be sent is kept and tried again.",
            &Time {
                least: Duration::from_secs(1),
                most: Duration::from_mins(10),
            },
            Slot::Default(&mut self.timeout),
        );
        walker.key(
            "rate",
            "How fast Welcomes and the letters of an import leave: \"60 per 1m\" is one each second, also when many are \
             overdue. Other letters wait for none of them. Ask whoever runs the mail server what it bears.",
            &parsed::<Quota>(json!({ "pattern": "^\\s*[0-9]+\\s* per .*[0-9]", "examples": ["60 per 1m"] })),
            Slot::Default(&mut self.rate),
        );
    }
}

fn parse_bounces(text: &str) -> Result<String, String> {
    let email = Email::parse(text).map_err(|why| format!("{text:?}: {why}"))?;
    let local = email.as_typed().split('@').next().unwrap_or_default();
    if local.len() > LONGEST_RETURN_LOCAL || !local.is_ascii() {
        return Err(format!(
            "{text:?}: what stands before the @ has at most {LONGEST_RETURN_LOCAL} characters, all of them ASCII: a tag is \
             added to it for each letter"
        ));
    }
    Ok(email.as_typed().to_owned())
}

fn parse_host(text: &str) -> Result<String, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    match Host::parse(text) {
        Ok(Host::Domain(name)) if !name.is_empty() => Ok(name),
        Ok(Host::Ipv4(address)) => Ok(address.to_string()),
        Ok(Host::Ipv6(address)) => Ok(address.to_string()),
        _ => Err(format!(
            "{text:?} is not a host name or an address; the port goes into smtp_port"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_a_host_without_its_port() {
        for (text, host) in [
            ("smtp.example.com", "smtp.example.com"),
            ("Mail", "mail"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
        ] {
            assert_eq!(parse_host(text).as_deref(), Ok(host));
        }
        for bad in ["", "smtp.example.com:587", "smtp://mail", "a b", "user@mail", "mail\n"] {
            assert!(parse_host(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_return_address_leaves_room_for_a_tag() {
        for good in ["bounces@example.com", "a-b.c+d_1234567890123@例え.jp"] {
            assert!(parse_bounces(good).is_ok(), "{good}");
        }
        for bad in ["", "bounces", "twenty.two-characters1@example.com", "由紀@example.com"] {
            assert!(parse_bounces(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn letters_in_the_clear_are_exposed_unless_they_stay_on_this_machine() {
        let mail = |host: &str, security| Mail {
            smtp_host: host.to_owned(),
            security,
            ..Mail::default()
        };
        assert!(mail("smtp.example.com", MailSecurity::DangerPlain).is_exposed());
        assert!(mail("10.0.0.1", MailSecurity::DangerPlain).is_exposed());
        for host in ["127.0.0.1", "::1", "localhost"] {
            assert!(!mail(host, MailSecurity::DangerPlain).is_exposed());
        }
        assert!(!mail("smtp.example.com", MailSecurity::StartTls).is_exposed());
    }
}
