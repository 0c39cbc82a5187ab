//! Reads what comes to the return address of letters: reports in the standard form (RFC 3464), and what older or
//! careless mail servers send in its place, where the address alone says which letter it is about.
//!
//! Everything in such a message is a stranger's, but for the tag in its recipient. What is taken from it is a word of
//! a closed list, a status code and one bounded line.

use std::borrow::Cow;

use mail_parser::{Message, MessageParser, MimeHeaders};

use super::return_path::{Named, ReturnPath};
use super::smtp::bounded;
use crate::domain::bounce::{Action, Ignored, Reading, Report, StatusCode};

/// The most of a message that is looked at, in bytes. A report stands before the message that it returns.
pub const MOST_READ: usize = 256 * 1024;
/// The most of a text that is searched for a status, in bytes.
const MOST_TEXT: usize = 32 * 1024;
/// The most groups of a report that are looked at: letters have one recipient, and a forwarder adds a few.
const MOST_RECIPIENTS: usize = 20;
/// A run of so many characters of a token could be a good part of one. Remote servers quote links.
const TELLING: usize = 20;

/// Header fields that name the recipient, as different mail servers write them; lower case.
const RECIPIENT_FIELDS: [&str; 9] = [
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "x-envelope-to",
    "x-rcpt-to",
    "x-real-to",
    "to",
    "cc",
    "resent-to",
];

/// Reads one message. `recipient` is the envelope's, when the mail server told it.
pub fn read(message: &[u8], recipient: Option<&str>, returns: &ReturnPath) -> Reading {
    let message = without_mbox_line(&message[..message.len().min(MOST_READ)]);
    let message = MessageParser::default().parse(message);
    let mut forged = false;
    let addressed = message.as_ref().map(recipients).unwrap_or_default();
    for address in recipient.map(Cow::Borrowed).into_iter().chain(addressed) {
        match returns.read(&address) {
            Named::Letter(letter) => {
                let report = message.as_ref().and_then(report);
                return report.map_or(Reading::Ignored(Ignored::Answer), |report| {
                    Reading::About(letter, report)
                });
            }
            Named::Forged => forged = true,
            Named::Nothing => {}
        }
    }
    Reading::Ignored(if forged { Ignored::Forged } else { Ignored::Untagged })
}

/// Some mail servers put the separator line of a mailbox file before the message.
fn without_mbox_line(message: &[u8]) -> &[u8] {
    if !message.starts_with(b"From ") {
        return message;
    }
    let end = message.iter().position(|byte| *byte == b'\n');
    end.map_or(message, |end| &message[end + 1..])
}

/// Every address in a field that names recipients.
fn recipients<'a>(message: &'a Message<'_>) -> Vec<Cow<'a, str>> {
    fields(message)
        .filter(|(name, _)| RECIPIENT_FIELDS.contains(&name.to_ascii_lowercase().as_str()))
        .flat_map(|(_, value)| value.split(|c: char| c.is_whitespace() || "<>,;:()\"".contains(c)))
        .filter(|word| word.contains('@'))
        .map(Cow::Borrowed)
        .collect()
}

fn fields<'a>(message: &'a Message<'_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    message.headers_raw()
}

fn field<'a>(message: &'a Message<'_>, name: &str) -> Option<&'a str> {
    let found = fields(message).find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

/// What a message to the return address of a letter reports; `None` for an answer.
fn report(message: &Message<'_>) -> Option<Report> {
    let kind = message.content_type();
    let is_report = kind.is_some_and(|kind| kind.c_type == "multipart" && kind.subtype() == Some("report"));
    if is_report {
        let about = kind
            .and_then(|kind| kind.attribute("report-type"))
            .unwrap_or("delivery-status");
        if !about.eq_ignore_ascii_case("delivery-status") {
            // A receipt of having been read, a complaint.
            return None;
        }
        if let Some(report) = message.parts.iter().find_map(|part| {
            let kind = part.content_type()?;
            let status = matches!(kind.subtype(), Some("delivery-status" | "global-delivery-status"));
            (kind.c_type == "message" && status).then(|| standard(&text_of(part.contents())))?
        }) {
            return Some(report);
        }
    }
    (is_report || is_from_a_mail_server(message)).then(|| plain(message))
}

fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_TEXT)])
}

/// A report of RFC 3464: fields of the message, then a group of fields for each recipient. The worst of them counts.
fn standard(text: &str) -> Option<Report> {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ");
    unfolded
        .split("\n\n")
        .filter_map(one_recipient)
        .take(MOST_RECIPIENTS)
        .max_by_key(|report| match report.action {
            Action::Delivered => 0,
            Action::Delayed => 1,
            Action::Failed => 2,
        })
}

fn one_recipient(group: &str) -> Option<Report> {
    let value = |name: &str| {
        let found = group.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        });
        found.filter(|value| !value.is_empty())
    };
    let said = value("Diagnostic-Code").map(without_type);
    let status = value("Status").and_then(|status| StatusCode::parse(first_word(status)));
    let status = status.or_else(|| said.and_then(status_in));
    let action = match value("Action").map(|action| first_word(action).to_ascii_lowercase()) {
        Some(action) => match action.as_str() {
            "failed" => Action::Failed,
            "delayed" => Action::Delayed,
            "delivered" | "relayed" | "expanded" => Action::Delivered,
            _ => return None,
        },
        None => match status? {
            status if status.is_success() => Action::Delivered,
            status if status.is_permanent() => Action::Failed,
            _ => Action::Delayed,
        },
    };
    Some(Report {
        action,
        status,
        words: said.and_then(words),
    })
}

/// `smtp; 550 5.1.1 no such user` without its first word.
fn without_type(diagnostic: &str) -> &str {
    match diagnostic.split_once(';') {
        Some((kind, said)) if !kind.trim().contains(' ') => said.trim(),
        _ => diagnostic,
    }
}

/// Whether a message that is no report of RFC 3464 comes from a mail server and not from a person or an autoresponder
/// (RFC 3834). A bounce has no sender in its envelope; who sends one and says nothing about it must be a mail server
/// by name.
fn is_from_a_mail_server(message: &Message<'_>) -> bool {
    let named = field(message, "x-failed-recipients").is_some() || is_named_as_one(message);
    let sender = field(message, "return-path").map(|path| path.trim_matches(['<', '>', ' ']));
    let nobody = sender.map(|sender| sender.is_empty() || is_a_daemon(sender));
    match nobody {
        Some(false) => false,
        Some(true) => named || !is_automatic(message),
        None => named,
    }
}

fn is_named_as_one(message: &Message<'_>) -> bool {
    let from = message.from().and_then(|from| from.first());
    from.and_then(|from| from.address()).is_some_and(is_a_daemon)
}

fn is_a_daemon(address: &str) -> bool {
    let local = address.split('@').next().unwrap_or_default();
    local.eq_ignore_ascii_case("mailer-daemon")
}

fn is_automatic(message: &Message<'_>) -> bool {
    let word = |name: &str| field(message, name).map(|value| first_word(value).to_ascii_lowercase());
    word("auto-submitted").is_some_and(|word| word != "no")
        || word("precedence").is_some_and(|word| word.contains("reply"))
        || ["x-autoreply", "x-autorespond", "x-auto-response-suppress", "list-id"]
            .iter()
            .any(|name| field(message, name).is_some())
}

/// A report in words alone. It is a failure unless it says that the message is merely late.
fn plain(message: &Message<'_>) -> Report {
    let body = message.body_text(0).unwrap_or_default();
    let body = text_of(body.as_bytes());
    let said: Vec<&str> = body.lines().take_while(|line| !begins_the_letter(line)).collect();
    let subject = message.subject().unwrap_or_default();
    let telling = said.iter().find_map(|line| Some((status_in(line)?, *line)));
    let late = is_late(subject) || said.iter().any(|line| is_late(line));
    Report {
        action: if late { Action::Delayed } else { Action::Failed },
        status: telling.map(|(status, _)| status),
        words: telling.map(|(_, line)| line).or(Some(subject)).and_then(words),
    }
}

/// Where the returned letter begins, which is no part of the report.
fn begins_the_letter(line: &str) -> bool {
    let line = line.trim_start_matches(['>', ' ']).to_ascii_lowercase();
    line.starts_with("return-path:")
        || line.starts_with("received:")
        || (line.starts_with("---")
            && (line.contains("copy") || line.contains("original") || line.contains("returned")))
}

fn is_late(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    [
        "delivery delayed",
        "delivery status notification (delay)",
        "warning: message",
        "this is a warning message only",
        "no action is required on your part",
        "will be retried",
        "will keep trying",
        "still being retried",
        "delivery attempts will continue",
    ]
    .iter()
    .any(|words| line.contains(words))
}

/// The first enhanced code in a line, or what a bare SMTP code comes to.
fn status_in(line: &str) -> Option<StatusCode> {
    let mut words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '#'));
    let enhanced = words.find_map(|word| {
        let code = StatusCode::parse(word.trim_start_matches('#').trim_end_matches('.'))?;
        (!code.is_success()).then_some(code)
    });
    enhanced.or_else(|| {
        let mut words = line.split(|c: char| c.is_whitespace() || "-:([".contains(c));
        let plain = words.find(|word| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit()))?;
        match plain.as_bytes() {
            [b'4', b'2' | b'3' | b'5', _] => StatusCode::parse("4.0.0"),
            [b'5', b'0' | b'2' | b'3' | b'5', _] => StatusCode::parse("5.0.0"),
            _ => None,
        }
    })
}

fn first_word(text: &str) -> &str {
    let word = text.split(|c: char| c.is_whitespace() || c == ';' || c == '(').next();
    word.unwrap_or_default()
}

/// Words fit to be stored and shown: one bounded line in which no link of a letter lives on.
fn words(said: &str) -> Option<String> {
    let line = bounded(&without_secrets(said), None);
    (!line.is_empty()).then_some(line)
}

/// Blots out every run of characters that could be a good part of a token: the one in a quoted link, and our own tag.
fn without_secrets(text: &str) -> String {
    let of_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c| !of_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(run);
        clean.push_str(if word.len() < TELLING { word } else { "…" });
        let gap = after.find(of_token).unwrap_or(after.len());
        clean.push_str(&after[..gap]);
        rest = &after[gap..];
    }
    clean
}

#[cfg(test)]
mod tests;
