//! The lure: the address that tokens name as the place of their key (`jku`, `x5u`). Who asks there believes tokens.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// Whoever asks and then says nothing is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A listener that nobody should ask.
pub struct Lure {
    listener: TcpListener,
    url: String,
}

/// The same, answering.
pub struct Set {
    asked: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Lure {
    /// On the address of this machine that the web client sees.
    pub async fn at(address: IpAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::new(address, 0))
            .await
            .with_context(|| format!("could not listen on {address}"))?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Self { listener, url })
    }

    /// Scheme, host and port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers from now on: the certificate where its path is asked for, the key set everywhere else.
    pub fn set(self, key_set: String, certificate: String) -> Set {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((mut socket, _)) = self.listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                // One after the other: nobody is in a hurry, and nobody keeps it longer than its patience.
                let _ = timeout(PATIENCE, answer(&mut socket, &key_set, &certificate)).await;
            }
        });
        Set {
            asked,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

impl Set {
    /// How often somebody came.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn answer(socket: &mut TcpStream, key_set: &str, certificate: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 * 1024 {
        let mut byte = [0];
        if socket.read(&mut byte).await? == 0 {
            return Ok(());
        }
        head.extend_from_slice(&byte);
    }
    let (kind, body) = if head.starts_with(b"GET /certificate.pem ") {
        ("application/x-pem-file", certificate)
    } else {
        ("application/json", key_set)
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body.as_bytes()).await?;
    socket.shutdown().await
}
