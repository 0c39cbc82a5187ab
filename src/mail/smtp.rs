//! Hands letters to the operator's mail server by SMTP: the adapter of [`Mailer`].

use std::sync::Arc;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::response::Response;

use super::access;
use super::letters::LetterPress;
use super::letters::phrase::one_line;
use super::mime;
use super::relay::{Cause, Parked, Relay, Step, Trouble};
use super::return_path::ReturnPath;
use crate::config;
use crate::domain::account::Email;
use crate::domain::fault::Fault;
use crate::domain::token::TicketToken;
use crate::ports::{Clock, Entropy, Mail, Mailer, Receipt, Refusal, fresh_uuid};

/// The most kept of what a mail server says, in characters.
const MAX_WORDS: usize = 300;

/// Writes letters and hands them to the mail server of `[mail]`.
pub struct SmtpMailer {
    press: LetterPress,
    relay: Relay,
    from: Mailbox,
    returns: Option<ReturnPath>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl SmtpMailer {
    /// Reads the password and the CA certificates; speaks to nobody yet. With `returns`, each letter has a return
    /// address of its own.
    ///
    /// # Errors
    /// When the sender is no address, or one of the files cannot be used; the error names the key.
    pub fn new(
        config: &config::Mail,
        press: LetterPress,
        returns: Option<ReturnPath>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Fault> {
        let address = Email::parse(&config.from)
            .map_err(|problem| Fault::corrupt(format!("[mail] from = {:?} cannot be used", config.from), problem))
            .map(|email| mime::address(&email))?
            .ok_or_else(|| Fault::corrupt("[mail] from cannot be used", format!("{:?} is no address", config.from)))?;
        let name = config
            .from_name
            .as_deref()
            .map_or_else(|| press.brand().to_owned(), one_line);
        let relay = Relay {
            host: config.smtp_host.clone(),
            port: config.smtp_port,
            protection: access::protection(config)?,
            credentials: access::credentials(config)?,
            timeout: config.timeout,
            parked: Parked::default(),
        };
        Ok(Self {
            press,
            relay,
            from: Mailbox::new(Some(name).filter(|name| !name.is_empty()), address),
            returns,
            clock,
            entropy,
        })
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: Mail<'_>) -> Result<Receipt, Refusal> {
        let secret = mail.content.token().map(TicketToken::expose);
        let secret = secret.as_deref();
        let Some(address) = mime::address(mail.to) else {
            return Err(refusal(true, "the address cannot be written to", secret));
        };
        let unwritten = |what: String| refusal(false, &what, secret);
        let letter = self
            .press
            .write(mail.reader, &mail.content, mail.site)
            .map_err(|fault| unwritten(fault.chain()))?;
        let to = Mailbox::new(
            Some(one_line(mail.reader.name)).filter(|name| !name.is_empty()),
            address,
        );
        let now = self.clock.now();
        let id = fresh_uuid(now, 0, self.entropy.as_ref());
        let recipient = to.email.clone();
        let message = mime::message(letter, self.from.clone(), to, id, now)
            .map_err(|error| unwritten(format!("could not put the letter into a message: {error}")))?;
        let tagged = self.returns.as_ref().and_then(|returns| returns.of(mail.letter));
        let sender = tagged.as_ref().unwrap_or(&self.from.email);
        match self.relay.deliver(sender, &recipient, &message).await {
            Some(Ok(response)) => Ok(Receipt {
                words: bounded(&said(&response), secret),
            }),
            Some(Err(trouble)) => Err(self.refused(&trouble, secret)),
            None => Err(unwritten(format!(
                "{} did not take the letter within {:?}",
                self.server(),
                self.relay.timeout
            ))),
        }
    }
}

impl SmtpMailer {
    fn server(&self) -> String {
        format!("{}:{}", self.relay.host, self.relay.port)
    }

    fn refused(&self, trouble: &Trouble, secret: Option<&str>) -> Refusal {
        let server = self.server();
        let cause = words_of(&trouble.cause);
        let words = match trouble.step {
            Step::Connect => format!("could not reach {server}: {cause}"),
            Step::Encrypt => format!("{server} did not turn to TLS: {cause}"),
            Step::Authenticate => format!("{server} did not take the user name and password of [mail]: {cause}"),
            Step::Sender => {
                let sender = match &self.returns {
                    Some(returns) => returns.plain(),
                    None => self.from.email.to_string(),
                };
                format!("{server} did not take {sender} as the sender: {cause}")
            }
            Step::Recipient | Step::Message => cause,
        };
        refusal(is_permanent(trouble), &words, secret)
    }
}

/// Whether the server has spoken finally about this recipient or this message. What it says about the
/// connection, our password or our sender is for the operator to mend, and letters wait for that.
fn is_permanent(trouble: &Trouble) -> bool {
    if !matches!(trouble.step, Step::Recipient | Step::Message) {
        return false;
    }
    match &trouble.cause {
        Cause::Smtp(error) => error
            .status()
            .map(u16::from)
            .is_some_and(|code| (500..600).contains(&code) && !wants_authentication(code)),
        Cause::Known(_) => trouble.step == Step::Recipient,
        Cause::Io(_) => false,
    }
}

/// RFC 4954 section 6: these ask for a sign-in or complain about one, at whatever step.
const fn wants_authentication(code: u16) -> bool {
    matches!(code, 530 | 534 | 535 | 538)
}

fn said(response: &Response) -> String {
    let lines: Vec<&str> = response.message().collect();
    format!("{} {}", response.code(), lines.join(" "))
}

/// The server's code and words, or the root of what went wrong on the way to it.
fn words_of(cause: &Cause) -> String {
    match cause {
        Cause::Known(words) => (*words).to_owned(),
        Cause::Io(error) => error.to_string(),
        Cause::Smtp(error) => {
            let mut root: &dyn std::error::Error = error;
            while let Some(source) = root.source() {
                root = source;
            }
            match error.status() {
                Some(code) => format!("{code} {root}"),
                None => root.to_string(),
            }
        }
    }
}

fn refusal(permanent: bool, words: &str, secret: Option<&str>) -> Refusal {
    Refusal {
        permanent,
        words: bounded(words, secret),
    }
}

/// Words fit to be stored and shown: one line, of bounded length, without the token. A content filter
/// may quote the very link it objects to.
pub(super) fn bounded(words: &str, secret: Option<&str>) -> String {
    let line = one_line(words);
    let line = secret.map_or_else(|| line.clone(), |secret| without(secret, &line));
    if line.chars().count() <= MAX_WORDS {
        return line;
    }
    let mut short: String = line.chars().take(MAX_WORDS - 1).collect();
    short.push('…');
    short
}

/// Blots out every run of token characters that is, holds, or is a good part of the secret: servers
/// break long lines.
fn without(secret: &str, line: &str) -> String {
    const TELLING: usize = 8;
    let of_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut rest = line;
    let mut clean = String::with_capacity(line.len());
    while !rest.is_empty() {
        let run = rest.find(|c| !of_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(run);
        let telling = word.contains(secret) || (word.len() >= TELLING && secret.contains(word));
        clean.push_str(if telling { "…" } else { word });
        let gap = after.find(of_token).unwrap_or(after.len());
        clean.push_str(&after[..gap]);
        rest = &after[gap..];
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_bounded_line() {
        assert_eq!(bounded("550 a\r\nb\u{7}c", None), "550 a b c");
        let long = bounded(&"あ".repeat(1000), None);
        assert_eq!((long.chars().count(), long.chars().last()), (MAX_WORDS, Some('…')));
    }

    #[test]
    fn words_never_hold_the_token_nor_a_part_of_it() {
        let secret = TicketToken::from_entropy([0x5a, 0x91].repeat(16).try_into().unwrap()).expose();
        let (front, back) = secret.split_at(20);
        for quoted in [
            format!("554 blocked: https://a.example/set-password?ticket={secret}"),
            format!("554 blocked: ticket={secret}, sorry"),
            format!("554 blocked: ticket=3D{secret}"),
            format!("554 blocked: ticket={front}\r\n{back} blocked"),
            format!("554 {secret}{}", "x".repeat(400)),
        ] {
            let words = bounded(&quoted, Some(&secret));
            assert!(
                !words.contains(&secret) && !words.contains(front) && !words.contains(back),
                "{words}"
            );
            assert!(words.starts_with("554 "));
        }
        assert_eq!(
            bounded("550 5.1.1 No such user", Some(&secret)),
            "550 5.1.1 No such user"
        );
    }
}
