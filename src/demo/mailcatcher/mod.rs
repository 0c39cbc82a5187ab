//! The mail catcher: receives letters over real SMTP and shows them on an inbox page, so that the
//! demonstration needs no mail server. The tests use it too, and can tell it to misbehave.

mod http;
mod inbox;
mod message;
mod page;
mod smtp;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use inbox::{Behaviour, INBOX_SIZE, Inbox};
pub use message::Message;

/// A mail server that keeps every letter to itself, and the page that shows them.
pub struct MailCatcher {
    smtp: TcpListener,
    smtp_addr: SocketAddr,
    http: TcpListener,
    http_addr: SocketAddr,
    inbox: Inbox,
}

impl MailCatcher {
    /// Takes both ports, with an empty inbox in memory. Port 0 lets the system choose.
    ///
    /// # Errors
    /// When an address cannot be bound; the error names it.
    pub async fn bind(smtp: SocketAddr, http: SocketAddr) -> io::Result<Self> {
        let (smtp, smtp_addr) = listen(smtp, "the mail catcher's SMTP").await?;
        let (http, http_addr) = listen(http, "the mail catcher's inbox page").await?;
        Ok(Self {
            smtp,
            smtp_addr,
            http,
            http_addr,
            inbox: Inbox::default(),
        })
    }

    /// Keeps letters as `.eml` files in `directory` as well, and shows those already there. The
    /// directory is made when it is missing.
    ///
    /// # Errors
    /// When the directory or a letter in it cannot be read.
    pub fn with_directory(mut self, directory: impl Into<PathBuf>) -> io::Result<Self> {
        self.inbox = Inbox::in_directory(directory.into())?;
        Ok(self)
    }

    /// Where letters are received.
    pub const fn smtp_addr(&self) -> SocketAddr {
        self.smtp_addr
    }

    /// Where the inbox page is served, over plain HTTP.
    pub const fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// The letters; every clone sees the same ones.
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// Receives and shows letters until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        tokio::join!(
            smtp::serve(self.smtp, self.inbox.clone(), stop.clone()),
            http::serve(self.http, self.inbox, self.smtp_addr, stop),
        );
    }
}

async fn listen(address: SocketAddr, what: &str) -> io::Result<(TcpListener, SocketAddr)> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("could not listen on {address} for {what}: {error}"),
        )
    };
    let listener = TcpListener::bind(address).await.map_err(named)?;
    let bound = listener.local_addr().map_err(named)?;
    Ok((listener, bound))
}
