//! The conversation with the mail server, step by step. Separate from [`super::smtp`] because what a
//! refusal means depends on the step: a 5xx to the recipient is final, the same code to our password
//! is the operator's to mend.

use std::sync::{Arc, Weak};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use parking_lot::Mutex;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::clear_text::ClearText;

/// Connections kept open after a letter, for the next one.
const MAX_PARKED: usize = 2;

/// How long they are kept. RFC 5321 section 4.5.3.2.7 lets a server hang up after five minutes.
const PARKED_FOR: Duration = Duration::from_secs(30);

/// How long a goodbye may take; nothing waits for it.
const GOODBYE: Duration = Duration::from_secs(5);

/// The mail server, and how it is spoken to.
pub(super) struct Relay {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) protection: Protection,
    pub(super) credentials: Option<Credentials>,
    /// For one letter, from the first packet to the last answer.
    pub(super) timeout: Duration,
    pub(super) parked: Parked,
}

/// How the conversation is protected.
pub(super) enum Protection {
    /// TLS after STARTTLS, or no letter.
    StartTls(TlsParameters),
    /// TLS from the first byte.
    Tls(TlsParameters),
    /// None.
    Plain,
}

/// How far a conversation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Encrypt,
    Authenticate,
    Sender,
    Recipient,
    Message,
}

/// Why a letter was not handed over.
pub(super) struct Trouble {
    /// Where it happened.
    pub(super) step: Step,
    /// What happened.
    pub(super) cause: Cause,
}

/// What went wrong.
pub(super) enum Cause {
    /// The server said no, or the connection broke.
    Smtp(Error),
    /// The connection could not be made.
    Io(std::io::Error),
    /// Known without asking the server.
    Known(&'static str),
}

impl Relay {
    /// Hands one message over, on a parked connection or a new one. `None` when it took too long.
    pub(super) async fn deliver(
        &self,
        from: &Address,
        to: &Address,
        message: &[u8],
    ) -> Option<Result<Response, Trouble>> {
        // lettre logs every byte it sends at debug level, passwords and letters with live links
        // among them. No log setting may bring that out, so it speaks to nobody here.
        let conversation = self
            .converse(from, to, message)
            .with_subscriber(NoSubscriber::default());
        timeout(self.timeout, conversation).await.ok()
    }

    async fn converse(&self, from: &Address, to: &Address, message: &[u8]) -> Result<Response, Trouble> {
        let mut line = match self.parked.take().await {
            Some(line) => line,
            None => self.open().await?,
        };
        let outcome = hand_over(&mut line, from, to, message).await;
        match &outcome {
            Ok(_) => self.parked.park(line),
            Err(_) => hang_up(line),
        }
        outcome
    }

    /// A new connection, ready for a letter.
    async fn open(&self) -> Result<AsyncSmtpConnection, Trouble> {
        let hello = ClientId::default();
        let mut line = match &self.protection {
            Protection::Tls(tls) => {
                let server = (self.host.as_str(), self.port);
                AsyncSmtpConnection::connect_tokio1(server, Some(self.patience()), &hello, Some(tls.clone()), None)
                    .await
                    .map_err(at(Step::Connect))?
            }
            Protection::StartTls(_) | Protection::Plain => {
                let stream = Box::new(ClearText::new(self.connect().await?));
                AsyncSmtpConnection::connect_with_transport(stream, &hello)
                    .await
                    .map_err(at(Step::Connect))?
            }
        };
        if let Protection::StartTls(tls) = &self.protection {
            // An error where the server does not offer it: there is no way on in the clear.
            line.starttls(tls.clone(), &hello).await.map_err(at(Step::Encrypt))?;
        }
        if let Some(credentials) = &self.credentials {
            line.auth(&[Mechanism::Plain, Mechanism::Login], credentials)
                .await
                .map_err(at(Step::Authenticate))?;
        }
        Ok(line)
    }

    /// Tries each address of the server in turn, as one that never answers must not use up the time
    /// of the next.
    async fn connect(&self) -> Result<TcpStream, Trouble> {
        let unreachable = |cause| Trouble {
            step: Step::Connect,
            cause,
        };
        let addresses = lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| unreachable(Cause::Io(error)))?;
        let mut last = Cause::Known("its name has no address");
        for address in addresses {
            match timeout(self.patience(), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Cause::Io(error),
                Err(_) => last = Cause::Known("no answer"),
            }
        }
        Err(unreachable(last))
    }

    /// For one address of the server.
    fn patience(&self) -> Duration {
        self.timeout / 2
    }
}

/// The letter itself: envelope, then message.
async fn hand_over(
    line: &mut AsyncSmtpConnection,
    from: &Address,
    to: &Address,
    message: &[u8],
) -> Result<Response, Trouble> {
    let mut parameters = Vec::new();
    let in_ascii = [from, to]
        .iter()
        .all(|address| AsRef::<str>::as_ref(address).is_ascii());
    if !in_ascii {
        if !line.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(Trouble {
                step: Step::Recipient,
                cause: Cause::Known("it takes only addresses in ASCII (it does not offer SMTPUTF8)"),
            });
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    line.command(Mail::new(Some(from.clone()), parameters))
        .await
        .map_err(at(Step::Sender))?;
    line.command(Rcpt::new(to.clone(), Vec::new()))
        .await
        .map_err(at(Step::Recipient))?;
    line.command(Data).await.map_err(at(Step::Message))?;
    let response = line.message(message).await.map_err(at(Step::Message))?;
    if response.code().severity == Severity::PositiveCompletion {
        Ok(response)
    } else {
        Err(Trouble {
            step: Step::Message,
            cause: Cause::Known("it neither took nor refused the letter"),
        })
    }
}

fn at(step: Step) -> impl Fn(Error) -> Trouble {
    move |error| Trouble {
        step,
        cause: Cause::Smtp(error),
    }
}

/// Says goodbye without making anybody wait for it.
fn hang_up(mut line: AsyncSmtpConnection) {
    let goodbye = async move { timeout(GOODBYE, line.abort()).await };
    tokio::spawn(goodbye.with_subscriber(NoSubscriber::default()));
}

/// Connections between two letters.
#[derive(Clone, Default)]
pub(super) struct Parked(Arc<Mutex<Vec<(AsyncSmtpConnection, Instant)>>>);

impl Parked {
    /// A connection that still answers.
    async fn take(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (mut line, _) = self.0.lock().pop()?;
            if line.test_connected().await {
                return Some(line);
            }
        }
    }

    fn park(&self, line: AsyncSmtpConnection) {
        {
            let mut lines = self.0.lock();
            if lines.len() < MAX_PARKED {
                lines.push((line, Instant::now()));
            } else {
                drop(lines);
                hang_up(line);
                return;
            }
        }
        let lines = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(PARKED_FOR).await;
            close_idle(&lines);
        });
    }
}

fn close_idle(lines: &Weak<Mutex<Vec<(AsyncSmtpConnection, Instant)>>>) {
    let Some(lines) = lines.upgrade() else { return };
    let idle: Vec<_> = lines
        .lock()
        .extract_if(.., |(_, since)| since.elapsed() >= PARKED_FOR)
        .collect();
    for (line, _) in idle {
        hang_up(line);
    }
}
