//! The plain listener: sends whoever comes by `http://` to the same place behind TLS, and says nothing else.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pingora::protocols::l4::stream::Stream as L4Stream;
use rustix::fs::OFlags;
use tokio::fs::OpenOptions;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::domain::doors::Door;
use crate::flows::StandingOrders;

use super::client::TrustedProxies;
use super::connections::{Connections, OpenConnection};
use super::listeners::is_banned;
use super::proxy_protocol;
use super::roll::Place;
use super::sockets::{Bound, ListeningSocket};

/// The largest request head; hyper takes no less than 8 KiB.
const MOST_HEAD_BYTES: usize = 8 << 10;
/// The most header fields.
const MOST_FIELDS: usize = 64;
/// Where an authority looks whether a name is ours (RFC 8555 section 8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";
/// The longest name of an answer to it, and the longest answer.
const MOST_TOKEN_BYTES: usize = 128;
const MOST_ANSWER_BYTES: u64 = 4096;

/// Finds the door with a host, in whatever configuration is in force.
pub type FindDoor = Box<dyn Fn(&str) -> Option<Door> + Send + Sync>;

/// Sends visitors to the doors.
pub struct Redirect {
    door: FindDoor,
    /// Where answers to the challenges of an authority lie.
    challenges: Option<PathBuf>,
    /// Proxies that begin each connection with the PROXY protocol, here as well.
    announcing: TrustedProxies,
    /// Who is banned.
    orders: Arc<StandingOrders>,
    connections: Arc<Connections>,
    /// A whole conversation takes no longer: a connection serves one request.
    patience: Duration,
}

impl Redirect {
    /// To these doors; nobody is sent anywhere else.
    pub const fn new(
        door: FindDoor,
        challenges: Option<PathBuf>,
        announcing: TrustedProxies,
        orders: Arc<StandingOrders>,
        connections: Arc<Connections>,
        patience: Duration,
    ) -> Self {
        Self {
            door,
            challenges,
            announcing,
            orders,
            connections,
            patience,
        }
    }

    /// Serves until `stop` turns true. The connections are counted with all others.
    pub async fn serve(self: Arc<Self>, bound: Bound, mut place: Place, mut stop: watch::Receiver<bool>) {
        let listener = match bound.socket {
            ListeningSocket::Tcp(listener) => TcpListener::from_std(listener),
            ListeningSocket::Unix(..) => Err(std::io::ErrorKind::Unsupported.into()),
        };
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "could not serve the redirect to TLS"),
        };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = place.answer() => continue,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok((socket, peer)) => self.take(socket, peer),
                Err(error) => {
                    tracing::error!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn take(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        if is_banned(&self.orders, peer, &self.connections) {
            return;
        }
        let announced = self.announcing.trusts(peer.ip().to_canonical());
        let Some(open) = self
            .connections
            .enter(peer.ip(), if announced { usize::MAX } else { 1 })
        else {
            tracing::debug!(%peer, "connection refused: too many are open");
            return;
        };
        let redirect = Arc::clone(self);
        tokio::spawn(async move {
            let stream = L4Stream::from(socket);
            let conversation = async {
                let introduced = if announced {
                    redirect.introduced(stream, peer, open).await
                } else {
                    Some((stream, open))
                };
                if let Some((stream, _open)) = introduced {
                    redirect.converse(stream).await;
                }
            };
            // Whoever is too slow, or speaks something else, is not told.
            let _ = tokio::time::timeout(redirect.patience, conversation).await;
        });
    }

    async fn converse(self: &Arc<Self>, stream: L4Stream) {
        let answering = service_fn(|request| {
            let redirect = Arc::clone(self);
            async move { Ok::<_, Infallible>(redirect.answer(&request).await) }
        });
        let conversation = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.patience)
            .max_buf_size(MOST_HEAD_BYTES)
            .max_headers(MOST_FIELDS)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), answering);
        let _ = conversation.await;
    }

    /// Hears from a listed proxy whose connection this is, and counts it for that client from then on.
    async fn introduced(
        &self,
        mut stream: L4Stream,
        peer: SocketAddr,
        open: OpenConnection,
    ) -> Option<(L4Stream, OpenConnection)> {
        let said = match proxy_protocol::read(&mut stream).await {
            Ok(said) => said,
            Err(error) => {
                tracing::info!(%peer, %error, "a peer of server.proxy_protocol did not say whose connection it brings");
                return None;
            }
        };
        stream.rewind(&said.rest);
        let open = match said.client {
            Some(client) if is_banned(&self.orders, client, &self.connections) => return None,
            Some(client) => open.pass_to(client.ip().to_canonical(), 1)?,
            None => open,
        };
        Some((stream, open))
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let Some(host) = host(request.headers(), request.uri()) else {
            return plain(StatusCode::BAD_REQUEST, Bytes::new());
        };
        // Nobody is sent where a request says, only where the configuration does.
        let Some(door) = (self.door)(host) else {
            return plain(StatusCode::MISDIRECTED_REQUEST, Bytes::new());
        };
        if let (Some(token), Some(directory)) = (request.uri().path().strip_prefix(CHALLENGES), &self.challenges) {
            return match challenge(directory.clone(), request.method(), token).await {
                Some(answer) => plain(StatusCode::OK, answer),
                None => plain(StatusCode::NOT_FOUND, Bytes::new()),
            };
        }
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        match HeaderValue::from_str(&door.link(target)) {
            Ok(location) => {
                let mut answer = plain(StatusCode::PERMANENT_REDIRECT, Bytes::new());
                answer.headers_mut().insert(LOCATION, location);
                answer
            }
            Err(_) => plain(StatusCode::BAD_REQUEST, Bytes::new()),
        }
    }
}

/// The one host that is asked for, without its port, of a request in origin form.
fn host<'a>(headers: &'a HeaderMap, target: &Uri) -> Option<&'a str> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return None;
    };
    if target.authority().is_some() || !target.path().starts_with('/') {
        return None;
    }
    let host = host.to_str().ok()?;
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => Some(name),
        _ => Some(host),
    }
}

/// What lies in the directory under this name, which cannot lead out of it.
async fn challenge(directory: PathBuf, method: &Method, token: &str) -> Option<Bytes> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if *method != Method::GET || token.is_empty() || token.len() > MOST_TOKEN_BYTES || !token.bytes().all(sound) {
        return None;
    }
    // Whoever may write answers there may not make a link show other files, or a pipe keep a thread waiting.
    let plainly = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let mut opening = OpenOptions::new();
    opening.read(true).custom_flags(plainly.cast_signed());
    let file = opening.open(directory.join(token)).await.ok()?;
    if !file.metadata().await.ok()?.is_file() {
        return None;
    }
    let mut answer = Vec::new();
    file.take(MOST_ANSWER_BYTES).read_to_end(&mut answer).await.ok()?;
    Some(answer.into())
}

fn plain(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::ConnectionLimits;
    use crate::telemetry::metrics::ConnectionMetrics;

    fn redirect(challenges: Option<PathBuf>) -> Redirect {
        let limits = ConnectionLimits {
            total: 9,
            per_client: 9,
        };
        let doors = ["https://in.test:8443", "https://out.test"].map(|door| Door::parse(door).unwrap());
        let connections = Connections::new(limits, ConnectionMetrics::default());
        let door = move |host: &str| {
            doors
                .iter()
                .find(|door| door.host().eq_ignore_ascii_case(host))
                .cloned()
        };
        let announcing = TrustedProxies::default();
        Redirect::new(
            Box::new(door),
            challenges,
            announcing,
            Arc::new(StandingOrders::new(
                Arc::new(crate::store::MemoryStore::new()),
                crate::app::world(),
            )),
            connections,
            Duration::from_secs(1),
        )
    }

    async fn ask(redirect: &Redirect, method: &str, target: &str, hosts: &[&str]) -> Response<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        redirect.answer(&request.body(()).unwrap()).await
    }

    #[tokio::test]
    async fn visitors_are_sent_to_a_door_and_nowhere_else() {
        let redirect = redirect(None);
        for (target, host, location) in [
            ("/a?b=%2F", "in.test", "https://in.test:8443/a?b=%2F"),
            ("/", "OUT.test:80", "https://out.test/"),
            ("//evil.test/", "out.test", "https://out.test//evil.test/"),
            (
                "/.well-known/acme-challenge/x",
                "out.test",
                "https://out.test/.well-known/acme-challenge/x",
            ),
        ] {
            let answer = ask(&redirect, "POST", target, &[host]).await;
            assert_eq!(answer.status(), 308);
            assert_eq!(answer.headers()[LOCATION], location);
        }
        for (target, hosts, status) in [
            ("/", &["evil.test"][..], 421),
            ("/", &["in.test.evil.test"], 421),
            ("/", &[], 400),
            ("/", &["in.test", "out.test"], 400),
            ("http://in.test/", &["in.test"], 400),
            ("*", &["in.test"], 400),
        ] {
            let answer = ask(&redirect, "GET", target, hosts).await;
            assert_eq!(answer.status(), status, "{target} {hosts:?}");
            assert!(!answer.headers().contains_key(LOCATION));
        }
    }

    #[tokio::test]
    async fn an_authority_finds_its_answer_and_nobody_finds_another_file() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("challenges");
        std::fs::create_dir_all(directory.join("directory")).unwrap();
        std::fs::write(directory.join("tok_en-1"), "answer").unwrap();
        std::fs::write(home.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(home.path().join("secret"), directory.join("link")).unwrap();
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, directory.join("pipe"), pipe, rustix::fs::Mode::RUSR, 0).unwrap();
        let redirect = redirect(Some(directory));
        let found = ask(&redirect, "GET", "/.well-known/acme-challenge/tok_en-1", &["out.test"]).await;
        assert_eq!(found.status(), 200);
        for name in [
            "",
            "missing",
            "directory",
            "link",
            "pipe",
            "../secret",
            "..%2Fsecret",
            "tok_en-1/",
            "tok_en-1%00",
        ] {
            let target = format!("/.well-known/acme-challenge/{name}");
            let answer = ask(&redirect, "GET", &target, &["out.test"]).await;
            assert_eq!(answer.status(), 404, "{name}");
        }
    }
}
