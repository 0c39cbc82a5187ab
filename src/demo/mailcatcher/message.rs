//! One received letter: what the envelope said, the bytes as they came, and what a reader makes of them.

use jiff::Timestamp;
use mail_parser::{MessageParser, PartType};

/// A received letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Counts up from 1 in order of arrival.
    pub id: u64,
    /// The sender in the envelope.
    pub from: String,
    /// The recipients in the envelope.
    pub to: Vec<String>,
    /// Headers and body exactly as received, dots unstuffed.
    pub raw: Vec<u8>,
    /// The `From` header for reading: `Name <address>`.
    pub sender: String,
    /// The subject, decoded.
    pub subject: String,
    /// The `Date` header.
    pub date: Option<Timestamp>,
    /// The text part, decoded.
    pub text: Option<String>,
    /// The HTML part, decoded.
    pub html: Option<String>,
}

impl Message {
    /// Reads a letter. Whatever cannot be understood is left out; the bytes stay.
    pub(super) fn read(id: u64, from: String, to: Vec<String>, raw: Vec<u8>) -> Self {
        let parsed = MessageParser::default().parse(&raw);
        let parsed = parsed.as_ref();
        let part_of = |pick: fn(&PartType<'_>) -> Option<String>| {
            parsed.and_then(|message| message.parts.iter().find_map(|part| pick(&part.body)))
        };
        let text = part_of(|part| match part {
            PartType::Text(text) => Some(text.to_string()),
            _ => None,
        });
        let html = part_of(|part| match part {
            PartType::Html(html) => Some(html.to_string()),
            _ => None,
        });
        let sender = parsed.and_then(|message| message.from()?.first()).map_or_else(
            || from.clone(),
            |address| match (address.name(), address.address()) {
                (Some(name), Some(address)) => format!("{name} <{address}>"),
                (name, address) => name.or(address).unwrap_or_default().to_owned(),
            },
        );
        let subject = parsed
            .and_then(|message| message.subject())
            .unwrap_or_default()
            .to_owned();
        let date = parsed
            .and_then(|message| message.date())
            .and_then(|date| Timestamp::from_second(date.to_timestamp()).ok());
        Self {
            id,
            from,
            to,
            raw,
            sender,
            subject,
            date,
            text,
            html,
        }
    }

    /// Every `http` or `https` address in the text part, in order.
    pub fn links(&self) -> Vec<String> {
        self.text
            .iter()
            .flat_map(|text| text.split_whitespace())
            .filter(|word| word.starts_with("https://") || word.starts_with("http://"))
            .map(str::to_owned)
            .collect()
    }

    /// A header as it was sent, unfolded but not decoded.
    pub fn header(&self, name: &str) -> Option<String> {
        let parsed = MessageParser::default().parse(&self.raw)?;
        let value = parsed.header_raw(name)?;
        Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Message {
        Message::read(1, "a@example.com".into(), vec!["b@example.com".into()], raw.into())
    }

    #[test]
    fn a_letter_is_decoded_for_reading() {
        let message = read(concat!(
            "From: =?utf-8?b?6Zai5omA?= <no-reply@example.com>\r\n",
            "Subject: =?utf-8?b?44OR44K544Ov44O844OJ?=\r\n",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n",
            "MIME-Version: 1.0\r\n",
            "Content-Type: multipart/alternative; boundary=x\r\n\r\n",
            "--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSee https://example.com/a?b=c\r\n",
            "--x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>See</p>\r\n--x--\r\n",
        ));
        assert_eq!(message.sender, "関所 <no-reply@example.com>");
        assert_eq!(message.subject, "パスワード");
        assert_eq!(message.date.unwrap().to_string(), "2027-01-15T08:00:00Z");
        assert_eq!(message.links(), ["https://example.com/a?b=c"]);
        assert_eq!(message.html.as_deref().map(str::trim), Some("<p>See</p>"));
        assert_eq!(message.header("mime-version").as_deref(), Some("1.0"));
    }

    #[test]
    fn a_letter_in_html_alone_has_no_text_part() {
        let message = read("Content-Type: text/html\r\n\r\n<p>x</p>\r\n");
        assert!(message.text.is_none() && message.html.is_some());
    }

    #[test]
    fn bytes_that_are_no_letter_are_kept_all_the_same() {
        let message = Message::read(1, "a@example.com".into(), vec![], vec![0xff, 0x00, b'\n']);
        assert_eq!(message.raw, [0xff, 0x00, b'\n']);
        assert_eq!(message.sender, "a@example.com");
    }
}
