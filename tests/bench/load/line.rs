//! One connection to a proxy: TLS with a whole handshake, then HTTP/1.1 or HTTP/2.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::{COOKIE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Protocol, Visitor};

/// Where connections go, and as whom.
#[derive(Clone)]
pub struct Dialler {
    at: SocketAddr,
    visitor: Arc<Visitor>,
    protocol: Protocol,
    tls: TlsConnector,
}

/// A connection that requests can be sent on.
pub struct Line {
    sender: Sender,
    visitor: Arc<Visitor>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Dialler {
    /// To this proxy.
    pub fn new(at: SocketAddr, visitor: &Visitor, protocol: Protocol) -> anyhow::Result<Self> {
        Ok(Self {
            at,
            visitor: Arc::new(visitor.clone()),
            protocol,
            tls: TlsConnector::from(Arc::new(config(&visitor.authority, protocol)?)),
        })
    }

    /// Connects as far as TLS.
    pub async fn dial(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(self.at).await.context("connecting")?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(self.visitor.host.clone())?;
        self.tls.connect(name, socket).await.context("the TLS handshake")
    }

    /// Connects.
    pub async fn open(&self) -> anyhow::Result<Line> {
        let io = TokioIo::new(self.dial().await?);
        // What ends a connection reaches whoever waits for an answer on it.
        let sender = match self.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                Sender::Http1(sender)
            }
            Protocol::Http2 { .. } => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        };
        Ok(Line {
            sender,
            visitor: Arc::clone(&self.visitor),
        })
    }
}

fn config(authority: &Path, protocol: Protocol) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // What every proxy here knows: like is compared with like.
    provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 { .. } => vec![b"h2".to_vec()],
    };
    Ok(config)
}

impl Line {
    /// Another handle to the same connection, where the protocol allows that.
    pub fn share(&self) -> anyhow::Result<Self> {
        match &self.sender {
            Sender::Http1(_) => bail!("HTTP/1.1 carries one request at a time"),
            Sender::Http2(sender) => Ok(Self {
                sender: Sender::Http2(sender.clone()),
                visitor: Arc::clone(&self.visitor),
            }),
        }
    }

    /// Asks for a path and reads the whole answer.
    pub async fn ask(&mut self, path: &str) -> anyhow::Result<Response<Bytes>> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        fields: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> anyhow::Result<Response<Bytes>> {
        let host = &self.visitor.host;
        let mut request = Request::builder().method(method);
        request = match &self.sender {
            Sender::Http1(_) => request.uri(path).header(HOST, host),
            Sender::Http2(_) => request.uri(format!("https://{host}{path}")),
        };
        if !self.visitor.cookie.is_empty() {
            request = request.header(COOKIE, &self.visitor.cookie);
        }
        for (name, value) in fields {
            request = request.header(name, value);
        }
        let answer = self.exchange(request.body(Full::new(body))?).await?;
        let (head, body) = answer.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}
