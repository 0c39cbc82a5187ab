//! [`Endpoint`]: where metrics and health are asked for. A listener of its own: nothing here is ever reachable by the
//! public one. A client that is slow here holds nobody else: where every place is taken, the newest client gets the oldest
//! one of the address that has taken most, since whoever asks for metrics has said so within milliseconds.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::health::Health;
use super::metrics::Metrics;

/// Metrics and health, over HTTP.
pub struct Endpoint {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// Only this machine is listened to, so only its own names are answered.
    at_home: bool,
}

/// A whole conversation, from the first byte to the last, takes no longer: a connection serves one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request's head takes no longer.
const HEAD_PATIENCE: Duration = Duration::from_secs(3);
/// The largest request head; hyper takes no less than 8 KiB.
const MOST_HEAD_BYTES: usize = 8 << 10;
/// The most header fields.
const MOST_FIELDS: usize = 64;
/// Connections served at once.
const MOST_CONNECTIONS: usize = 64;
/// A port that is taken is tried again after this time.
const AGAIN: Duration = Duration::from_secs(10);

/// What `/metrics` is written in.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Answer = Response<Full<Bytes>>;

impl Endpoint {
    /// For a listener at this address.
    pub fn new(metrics: Arc<Metrics>, health: Arc<Health>, listen: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            health,
            at_home: listen.ip().is_loopback(),
        })
    }

    /// Serves until `stop`. Without a listener it tries to get one again and again: people can sign in meanwhile.
    pub async fn serve(self: Arc<Self>, listener: Option<TcpListener>, listen: SocketAddr, stop: CancellationToken) {
        let listener = match listener {
            Some(listener) => Some(listener),
            None => stop.run_until_cancelled(bind_at_last(listen)).await,
        };
        if let Some(listener) = listener {
            let conversations = TaskTracker::new();
            stop.run_until_cancelled(self.accept(&listener, &conversations)).await;
            conversations.close();
            // Whoever is being answered gets the end of it.
            let _ = tokio::time::timeout(Duration::from_secs(1), conversations.wait()).await;
        }
    }

    async fn accept(&self, listener: &TcpListener, conversations: &TaskTracker) {
        let room = Arc::new(Room::default());
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    let place = room.enter(peer.ip());
                    let (metrics, health, at_home) =
                        (Arc::clone(&self.metrics), Arc::clone(&self.health), self.at_home);
                    conversations.spawn(async move {
                        let endpoint = Self {
                            metrics,
                            health,
                            at_home,
                        };
                        let conversation = converse(&endpoint, socket);
                        if place.taken_by_another.run_until_cancelled(conversation).await.is_none() {
                            tracing::debug!("a request for metrics made room for a newer one");
                        }
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "could not accept a connection for metrics");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Answer {
        if self.at_home && !is_asked_at_home(headers) {
            return text(
                StatusCode::MISDIRECTED_REQUEST,
                "metrics are asked for as localhost or by a loopback address\n",
            );
        }
        if !matches!(path, "/metrics" | "/health/live" | "/health/ready") {
            return text(
                StatusCode::NOT_FOUND,
                "there is /metrics, /health/live and /health/ready\n",
            );
        }
        if *method != Method::GET {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "GET, and nothing else\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return answer;
        }
        match path {
            "/metrics" => answer(StatusCode::OK, OPENMETRICS, self.metrics.text()),
            "/health/live" => json_answer(StatusCode::OK, &json!({ "live": true })),
            _ if self.health.is_ready() => json_answer(StatusCode::OK, &self.health.to_json()),
            _ => json_answer(StatusCode::SERVICE_UNAVAILABLE, &self.health.to_json()),
        }
    }
}

/// The conversations under way, in the order they began.
#[derive(Default)]
struct Room(Mutex<Places>);

#[derive(Default)]
struct Places {
    taken: BTreeMap<u64, (IpAddr, CancellationToken)>,
    next: u64,
}

impl Places {
    /// Frees the oldest place of the address that has taken most, so that nobody's haste costs others theirs. Where several
    /// have as many, the oldest of all theirs.
    fn make_room(&mut self) {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for (address, _) in self.taken.values() {
            *counts.entry(*address).or_default() += 1;
        }
        let most = counts.values().max().copied();
        let mut places = self.taken.iter();
        let oldest = places.find(|(_, (address, _))| counts.get(address).copied() == most);
        if let Some(number) = oldest.map(|(number, _)| *number)
            && let Some((_, place)) = self.taken.remove(&number)
        {
            place.cancel();
        }
    }
}

/// A place in the room, until it is dropped.
struct Place {
    room: Arc<Room>,
    number: u64,
    taken_by_another: CancellationToken,
}

impl Room {
    /// A place for whoever comes from this address, that of an older conversation where none is free.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Place {
        let mut places = self.0.lock();
        if places.taken.len() >= MOST_CONNECTIONS {
            places.make_room();
        }
        let (number, taken_by_another) = (places.next, CancellationToken::new());
        places.next += 1;
        places.taken.insert(number, (address, taken_by_another.clone()));
        Place {
            room: Arc::clone(self),
            number,
            taken_by_another,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.0.lock().taken.remove(&self.number);
    }
}

/// One request and its answer.
async fn converse(endpoint: &Endpoint, socket: TcpStream) {
    let service = service_fn(async |request: Request<hyper::body::Incoming>| {
        let (head, _) = request.into_parts();
        Ok::<_, Infallible>(endpoint.answer(&head.method, head.uri.path(), &head.headers))
    });
    let conversation = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MOST_HEAD_BYTES)
        .max_headers(MOST_FIELDS)
        .serve_connection(TokioIo::new(socket), service);
    match tokio::time::timeout(PATIENCE, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a request for metrics came to nothing"),
        Err(_) => tracing::debug!("a request for metrics took too long"),
    }
}

/// Binds the address.
///
/// # Errors
/// Those of the system: mostly that another program holds the port.
pub fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    listener(std::net::TcpListener::bind(listen)?)
}

/// Listens on a socket that is bound already.
///
/// # Errors
/// Those of the system.
pub fn listener(bound: std::net::TcpListener) -> io::Result<TcpListener> {
    bound.set_nonblocking(true)?;
    TcpListener::from_std(bound)
}

async fn bind_at_last(listen: SocketAddr) -> TcpListener {
    loop {
        tokio::time::sleep(AGAIN).await;
        if let Ok(listener) = bind(listen) {
            tracing::info!(%listen, "metrics are served now");
            return listener;
        }
    }
}

/// Whether the one `Host` is a name of this machine for itself. A page of another site whose name was made to point
/// here (DNS rebinding) says its own name.
fn is_asked_at_home(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    !authority.as_str().contains('@')
        && (name.eq_ignore_ascii_case("localhost")
            || bare
                .unwrap_or(name)
                .parse::<IpAddr>()
                .is_ok_and(|address| address.to_canonical().is_loopback()))
}

fn text(status: StatusCode, words: &'static str) -> Answer {
    answer(status, "text/plain; charset=utf-8", words)
}

fn json_answer(status: StatusCode, value: &serde_json::Value) -> Answer {
    answer(status, "application/json", format!("{value}\n"))
}

fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::telemetry::metrics::{About, AboutConfig};

    fn endpoint(listen: &str) -> Arc<Endpoint> {
        let about = About {
            version: "1.2.3",
            config: AboutConfig {
                digest: "0123456789ab".into(),
                limits: true,
                mail_security: "starttls",
            },
            started: 1_700_000_000.5,
        };
        let health = Arc::new(Health::default());
        let metrics = Arc::new(Metrics::new(&about, &health));
        Endpoint::new(metrics, health, listen.parse().unwrap())
    }

    fn asked(endpoint: &Endpoint, method: &Method, path: &str, hosts: &[&str]) -> u16 {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        endpoint.answer(method, path, &headers).status().as_u16()
    }

    #[test]
    fn a_name_made_to_point_here_is_refused_on_loopback_and_only_there() {
        let at_home = endpoint("127.0.0.1:9464");
        for host in [
            "localhost",
            "LOCALHOST:9464",
            "127.0.0.1:9464",
            "127.8.8.8",
            "[::1]:9464",
        ] {
            assert_eq!(asked(&at_home, &Method::GET, "/metrics", &[host]), 200, "{host}");
        }
        for hosts in [
            &["evil.example"][..],
            &["localhost.evil.example"],
            &["127.0.0.1.evil.example:9464"],
            &["user@localhost"],
            &["192.0.2.1:9464"],
            &["localhost", "evil.example"],
            &[""],
            &[],
        ] {
            assert_eq!(asked(&at_home, &Method::GET, "/metrics", hosts), 421, "{hosts:?}");
        }
        let abroad = endpoint("192.0.2.1:9464");
        assert_eq!(asked(&abroad, &Method::GET, "/metrics", &["gateway.example:9464"]), 200);
    }

    #[test]
    fn there_are_three_paths_and_one_method() {
        let endpoint = endpoint("[::1]:9464");
        let ask = |method: Method, path| asked(&endpoint, &method, path, &["localhost"]);
        assert_eq!(ask(Method::GET, "/health/live"), 200);
        assert_eq!(ask(Method::GET, "/health/ready"), 503, "nothing has been seen yet");
        for path in ["/", "/metrics/", "/Metrics", "//metrics", "/login"] {
            assert_eq!(ask(Method::GET, path), 404, "{path}");
        }
        for method in [Method::POST, Method::HEAD, Method::OPTIONS, Method::DELETE] {
            assert_eq!(ask(method, "/metrics"), 405);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_slow_or_says_too_much_is_let_go() {
        let endpoint = endpoint("127.0.0.1:0");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(endpoint.serve(Some(listener), address, stop.clone()));
        for head in [
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow:".to_owned(),
            format!(
                "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
                "a".repeat(20_000)
            ),
        ] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(head.as_bytes()).await.unwrap();
            let mut said = Vec::new();
            // Ends, in the time of the test's clock, without the rest of the head.
            let _ = client.read_to_end(&mut said).await;
            let said = String::from_utf8_lossy(&said);
            assert!(!said.contains("200 OK") && !said.contains("sekisho_"), "{said}");
        }
        stop.cancel();
        serving.await.unwrap();
    }

    #[test]
    fn whoever_asks_in_haste_makes_room_with_a_place_of_its_own() {
        let room = Arc::new(Room::default());
        let (hasty, scraper) = (IpAddr::from([192, 0, 2, 9]), IpAddr::from([192, 0, 2, 1]));
        let scrape = room.enter(scraper);
        let crowd: Vec<_> = (0..2 * MOST_CONNECTIONS).map(|_| room.enter(hasty)).collect();
        assert!(!scrape.taken_by_another.is_cancelled());
        let left = crowd.iter().filter(|place| !place.taken_by_another.is_cancelled());
        assert_eq!(left.count() + 1, MOST_CONNECTIONS);
        assert!(crowd[0].taken_by_another.is_cancelled(), "the oldest went first");
        let second = room.enter(scraper);
        assert!(!scrape.taken_by_another.is_cancelled() && !second.taken_by_another.is_cancelled());
    }

    #[tokio::test]
    async fn slow_clients_in_every_place_keep_nobody_from_the_metrics() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(endpoint("127.0.0.1:0").serve(Some(listener), address, stop.clone()));
        let mut slow = Vec::new();
        for _ in 0..2 * MOST_CONNECTIONS {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow:").await.unwrap();
            slow.push(client);
        }
        let scrape = async {
            let mut client = TcpStream::connect(address).await.unwrap();
            let head = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
            client.write_all(head).await.unwrap();
            let (mut said, mut nothing) = (String::new(), Vec::new());
            client.read_to_string(&mut said).await.unwrap();
            let _ = slow[0].read_to_end(&mut nothing).await;
            (said, nothing)
        };
        let (said, nothing) = tokio::time::timeout(PATIENCE, scrape).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
        assert!(nothing.is_empty(), "{nothing:?}");
        // The oldest was let go for those that came later, and not because anybody's time was over.
        let newest = slow.last().unwrap().readable();
        assert!(tokio::time::timeout(Duration::ZERO, newest).await.is_err());
        stop.cancel();
        serving.await.unwrap();
    }
}
