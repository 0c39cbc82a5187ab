//! The web client behind the gateway: a real server that says what it was sent, streams, and misbehaves on demand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};
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
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::new(Shared {
                received: Mutex::default(),
                events: broadcast::channel(64).0,
                streams: Mutex::new(0),
            }),
            stop: Mutex::new(CancellationToken::new()),
        };
        upstream.serve(listener);
        upstream
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
        self.serve(listener);
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
        let _ = self.shared.events.send(line.to_owned());
    }

    /// How many event streams are open.
    pub fn streams(&self) -> usize {
        *self.shared.streams.lock()
    }

    fn serve(&self, listener: TcpListener) {
        let (stop, shared) = (self.stop.lock().clone(), Arc::clone(&self.shared));
        tokio::spawn(async move {
            while let Some(Ok((socket, _))) = stop.run_until_cancelled(listener.accept()).await {
                let (stop, shared) = (stop.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(Arc::clone(&shared), request));
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let serving = builder.serve_connection_with_upgrades(TokioIo::new(socket), service);
                    stop.run_until_cancelled(serving).await;
                });
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
    let noted = Received {
        method: request.method().to_string(),
        target: request.uri().to_string(),
        headers: request.headers().clone(),
        bytes: 0,
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
    let (bytes, digest) = digest(request.into_body()).await?;
    shared.received.lock()[index].bytes = bytes;
    Ok(match path.as_str() {
        "/events" => events(&shared),
        "/unasked-switch" => {
            let mut response = json(&serde_json::json!({}));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
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
            if sender.send(format!("data: {line}\n\n").into()).await.is_err() {
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
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(body) if body.is_end_stream())
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Open(_) => http_body::SizeHint::default(),
        }
    }
}
