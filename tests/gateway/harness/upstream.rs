//! The web client behind the gateway: a real server that says what it was sent, streams, and misbehaves on demand.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{broadcast, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

/// A running upstream; it ends with its test.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Mutex<CancellationToken>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    events: broadcast::Sender<String>,
    streams: Mutex<usize>,
    health: AtomicU16,
}

/// Where it listens.
enum Door {
    Plain(TcpListener),
    Tls(TcpListener, TlsAcceptor),
    Socket(UnixListener),
}

/// Somebody at a door.
enum Caller {
    Plain(TcpStream),
    Tls(TcpStream, TlsAcceptor),
    Socket(UnixStream),
}

impl Door {
    async fn accept(&self) -> io::Result<Caller> {
        Ok(match self {
            Self::Plain(listener) => Caller::Plain(listener.accept().await?.0),
            Self::Tls(listener, acceptor) => Caller::Tls(listener.accept().await?.0, acceptor.clone()),
            Self::Socket(listener) => Caller::Socket(listener.accept().await?.0),
        })
    }
}

impl Caller {
    async fn serve(self, shared: Arc<Shared>) {
        match self {
            Self::Plain(socket) => converse(socket, shared).await,
            Self::Socket(socket) => converse(socket, shared).await,
            Self::Tls(socket, acceptor) => {
                if let Ok(socket) = acceptor.accept(socket).await {
                    converse(socket, shared).await;
                }
            }
        }
    }
}

/// HTTP/1.1 or HTTP/2, as the other side begins.
async fn converse(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let service = service_fn(|request| answer(Arc::clone(&shared), request));
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder
        .serve_connection_with_upgrades(TokioIo::new(socket), service)
        .await;
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query, byte for byte.
    pub target: String,
    /// Every header.
    pub headers: HeaderMap,
    /// How many bytes of body came.
    pub bytes: usize,
    /// The protocol it came by.
    pub version: Version,
}

impl Received {
    /// The only value of a header; `None` when it is missing.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        assert!(values.next().is_none(), "{name} came twice: {:?}", self.headers);
        Some(first.to_str().unwrap())
    }

    /// The assertion.
    #[track_caller]
    pub fn assertion(&self) -> &str {
        self.header(super::ASSERTION).expect("the request carries an assertion")
    }
}

type Answering = Response<Stream>;

impl Upstream {
    /// Starts it on a free port.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::behind(listener.local_addr().unwrap(), Door::Plain(listener))
    }

    /// Starts it on a free port, behind TLS.
    pub async fn open_with_tls(config: rustls::ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::behind(address, Door::Tls(listener, TlsAcceptor::from(Arc::new(config))))
    }

    /// Starts it on a socket in the file system.
    pub fn open_at(path: &Path) -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self::behind(nowhere, Door::Socket(UnixListener::bind(path).unwrap()))
    }

    fn behind(address: SocketAddr, door: Door) -> Self {
        let upstream = Self {
            address,
            shared: Arc::new(Shared {
                received: Mutex::default(),
                events: broadcast::channel(64).0,
                streams: Mutex::new(0),
                health: AtomicU16::new(200),
            }),
            stop: Mutex::new(CancellationToken::new()),
        };
        upstream.serve(door);
        upstream
    }

    /// From now on `/health` is answered with this status. Health checks are not counted among what was received.
    pub fn set_health(&self, status: u16) {
        self.shared.health.store(status, Ordering::Relaxed);
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Goes away, connections and all.
    pub fn stop(&self) {
        self.stop.lock().cancel();
    }

    /// Comes back on the same port.
    pub async fn start_again(&self) {
        *self.stop.lock() = CancellationToken::new();
        let listener = super::eventually("the upstream's port", async || {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(self.address).ok()?;
            socket.listen(64).ok()
        })
        .await;
        self.serve(Door::Plain(listener));
    }

    /// Everything that has arrived, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// The latest request.
    #[track_caller]
    pub fn last(&self) -> Received {
        self.received().pop().expect("something has reached the upstream")
    }

    /// How many requests have arrived.
    pub fn count(&self) -> usize {
        self.shared.received.lock().len()
    }

    /// Sends a line to every open event stream.
    pub fn emit(&self, line: &str) {
        let _ = self.shared.events.send(format!("data: {line}\n\n"));
    }

    /// Sends a comment to every open event stream, as servers do to keep it alive.
    pub fn comment(&self, line: &str) {
        let _ = self.shared.events.send(format!(": {line}\n\n"));
    }

    /// How many event streams are open.
    pub fn streams(&self) -> usize {
        *self.shared.streams.lock()
    }

    fn serve(&self, door: Door) {
        let (stop, shared) = (self.stop.lock().clone(), Arc::clone(&self.shared));
        tokio::spawn(async move {
            while let Some(Ok(caller)) = stop.run_until_cancelled(door.accept()).await {
                let (stop, shared) = (stop.clone(), Arc::clone(&shared));
                tokio::spawn(async move { stop.run_until_cancelled(caller.serve(shared)).await });
            }
        });
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.lock().cancel();
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answering, hyper::Error> {
    if request.uri().path() == "/health" {
        let mut response = json(&serde_json::json!({}));
        *response.status_mut() = StatusCode::from_u16(shared.health.load(Ordering::Relaxed)).unwrap();
        return Ok(response);
    }
    let noted = Received {
        method: request.method().to_string(),
        target: request.uri().to_string(),
        headers: request.headers().clone(),
        bytes: 0,
        version: request.version(),
    };
    let index = {
        let mut received = shared.received.lock();
        received.push(noted.clone());
        received.len() - 1
    };
    let path = request.uri().path().to_owned();
    if path == "/ws" && request.headers().contains_key(UPGRADE) {
        return Ok(websocket(request));
    }
    let mut told = shared.events.subscribe();
    let (bytes, digest) = digest(request.into_body()).await?;
    shared.received.lock()[index].bytes = bytes;
    Ok(match path.as_str() {
        "/events" => events(&shared),
        "/piecewise" => piecewise(&shared),
        "/when-told" => {
            let _ = told.recv().await;
            json(&echo(&noted, bytes, &digest))
        }
        "/unasked-switch" => {
            let mut response = json(&serde_json::json!({}));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response
        }
        "/trailers" => {
            let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("x-end"), "1".parse().unwrap())]);
            Response::new(Stream::Trailed(Some(Bytes::from_static(b"body")), Some(trailers)))
        }
        "/503" => {
            let mut response = json(&serde_json::json!({}));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
        "/slow" => {
            tokio::time::sleep(std::time::Duration::from_mins(1)).await;
            json(&serde_json::json!({}))
        }
        "/set-cookie" => with_headers(
            json(&serde_json::json!({})),
            &[
                (SET_COOKIE, "__Host-sekisho=forged; Path=/; Secure"),
                (SET_COOKIE, "__Host-sekisho-form=forged; Path=/; Secure"),
                (SET_COOKIE, "theirs=1; Path=/"),
            ],
        ),
        "/public-cache" => with_headers(
            json(&serde_json::json!({})),
            &[(CACHE_CONTROL, "public, max-age=60, s-maxage=600")],
        ),
        "/no-store" => with_headers(json(&serde_json::json!({})), &[(CACHE_CONTROL, "no-store")]),
        path => match path.strip_prefix("/download/").and_then(|count| count.parse().ok()) {
            Some(count) => download(count),
            None => json(&echo(&noted, bytes, &digest)),
        },
    })
}

fn echo(received: &Received, bytes: usize, digest: &str) -> serde_json::Value {
    let headers: Vec<(String, String)> = received
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    serde_json::json!({
        "method": received.method,
        "target": received.target,
        "headers": headers,
        "bytes": bytes,
        "sha256": digest,
    })
}

fn json(value: &serde_json::Value) -> Answering {
    let mut response = Response::new(Stream::whole(value.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn with_headers(mut response: Answering, more: &[(http::HeaderName, &'static str)]) -> Answering {
    for (name, value) in more {
        response
            .headers_mut()
            .append(name, http::HeaderValue::from_static(value));
    }
    response
}

/// Counts and digests a body chunk by chunk.
async fn digest(mut body: Incoming) -> Result<(usize, String), hyper::Error> {
    let (mut bytes, mut digest) = (0, Sha256::new());
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes += data.len();
            digest.update(&data);
        }
    }
    Ok((bytes, hex(&digest.finalize())))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that `/download/N` sends.
pub fn pattern(count: usize) -> impl Iterator<Item = Bytes> {
    let chunk: Bytes = (0..=255_u8).cycle().take(64 << 10).collect();
    let (whole, rest) = (count / chunk.len(), count % chunk.len());
    let last = chunk.slice(..rest);
    std::iter::repeat_n(chunk, whole).chain((rest > 0).then_some(last))
}

fn download(count: usize) -> Answering {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        for chunk in pattern(count) {
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    Response::builder()
        .header(CONTENT_LENGTH, count)
        .body(Stream::Open(receiver))
        .unwrap()
}

/// A stream of server-sent events that stays open until either side leaves.
fn events(shared: &Arc<Shared>) -> Answering {
    let (sender, receiver) = mpsc::channel(4);
    let mut lines = shared.events.subscribe();
    *shared.streams.lock() += 1;
    let counted = Arc::clone(shared);
    tokio::spawn(async move {
        let _ = sender.send(Bytes::from_static(b": open\n\n")).await;
        loop {
            let line = tokio::select! {
                line = lines.recv() => line,
                () = sender.closed() => break,
            };
            let Ok(line) = line else { break };
            if sender.send(line.into()).await.is_err() {
                break;
            }
        }
        *counted.streams.lock() -= 1;
    });
    Response::builder()
        .header(CONTENT_TYPE, "text/event-stream")
        .body(Stream::Open(receiver))
        .unwrap()
}

/// An answer that does not say how long it is, and ends with the next event.
fn piecewise(shared: &Arc<Shared>) -> Answering {
    let (sender, receiver) = mpsc::channel(4);
    let mut lines = shared.events.subscribe();
    tokio::spawn(async move {
        let _ = sender.send(Bytes::from_static(b"first, ")).await;
        if let Ok(line) = lines.recv().await {
            let _ = sender.send(line.into()).await;
        }
    });
    Response::builder()
        .header(CONTENT_TYPE, "text/plain")
        .body(Stream::Open(receiver))
        .unwrap()
}

/// A WebSocket that says everything back.
fn websocket(mut request: Request<Incoming>) -> Answering {
    let key = request
        .headers()
        .get("sec-websocket-key")
        .map(|key| derive_accept_key(key.as_bytes()));
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(&mut request).await else {
            return;
        };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header("sec-websocket-accept", key.unwrap_or_default())
        .body(Stream::whole(""))
        .unwrap()
}

/// A body that is there at once, or that comes piece by piece.
pub enum Stream {
    /// At once.
    Whole(Full<Bytes>),
    /// Piece by piece, until the other end is dropped.
    Open(mpsc::Receiver<Bytes>),
    /// One piece, and trailers after it.
    Trailed(Option<Bytes>, Option<HeaderMap>),
}

impl Stream {
    /// At once.
    pub fn whole(body: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(body.into()))
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(body) => Pin::new(body).poll_frame(cx),
            Self::Open(pieces) => pieces
                .poll_recv(cx)
                .map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
            Self::Trailed(piece, trailers) => {
                let next = piece.take().map(Frame::data);
                Poll::Ready(next.or_else(|| trailers.take().map(Frame::trailers)).map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(body) if body.is_end_stream())
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Open(_) | Self::Trailed(..) => http_body::SizeHint::default(),
        }
    }
}
