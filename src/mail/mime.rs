//! A written letter as the bytes of a message: headers, a text part and an HTML part (RFC 5322, 2045).

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::Address;
use lettre::error::Error;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use uuid::Uuid;

use super::letters::Written;
use crate::domain::account::Email;

/// Puts a letter into a message. `id` is fresh; `at` is now.
pub(super) fn message(letter: Written, from: Mailbox, to: Mailbox, id: Uuid, at: Timestamp) -> Result<Vec<u8>, Error> {
    let message_id = format!("<{id}@{}>", ascii_domain(from.email.domain()));
    let parts = MultiPart::alternative()
        .boundary(format!("sekisho-{}", id.simple()))
        .singlepart(part(ContentType::TEXT_PLAIN, letter.text))
        .singlepart(part(ContentType::TEXT_HTML, letter.html));
    let message = Message::builder()
        .from(from)
        .to(to)
        .subject(letter.subject)
        .date(SystemTime::from(at))
        .message_id(Some(message_id))
        .header(AutoSubmitted)
        .multipart(parts)?;
    Ok(message.formatted())
}

fn part(kind: ContentType, body: String) -> SinglePart {
    SinglePart::builder().header(kind).body(body)
}

/// The spelling in which an address is handed to the mail server: in ASCII wherever it has one, since
/// few servers take anything else. The domain by IDNA; the local part by its folded spelling, so that
/// full-width letters reach the mailbox they mean.
pub(super) fn address(email: &Email) -> Option<Address> {
    let (local, domain) = email.as_typed().rsplit_once('@')?;
    let local = if local.is_ascii() {
        local
    } else {
        email.key().rsplit_once('@')?.0
    };
    Address::new(local, ascii_domain(domain)).ok()
}

pub(super) fn ascii_domain(domain: &str) -> String {
    if domain.is_ascii() {
        return domain.to_owned();
    }
    url::Host::parse(domain).map_or_else(|_| domain.to_owned(), |host| host.to_string())
}

/// Keeps out-of-office answers away from the sender (RFC 3834 section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_handed_over_in_ascii_wherever_it_has_such_a_spelling() {
        let spelling = |typed| address(&Email::parse(typed).unwrap()).unwrap().to_string();
        assert_eq!(spelling("Yuki@Example.com"), "Yuki@Example.com");
        assert_eq!(spelling("yuki@例え.jp"), "yuki@xn--r8jz45g.jp");
        assert_eq!(spelling("ｙｕｋｉ@example.com"), "yuki@example.com");
        assert_eq!(spelling("由紀@example.com"), "由紀@example.com");
    }
}
