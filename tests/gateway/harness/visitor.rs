//! Somebody with a browser: cookies, forms, redirects on demand, HTTP/1.1 or HTTP/2 over real TLS; and, for the
//! stories about hostile visitors, the bare connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;

use super::gateway::{Address, Gateway};
use super::upstream::Stream;
use super::{SESSION, SOON, page, soon};

/// Somebody with a browser.
pub struct Visitor {
    at: Address,
    door: String,
    roots: Arc<RootCertStore>,
    from: Option<IpAddr>,
    http2: bool,
    headers: HeaderMap,
    jar: Mutex<BTreeMap<String, String>>,
    idle: Mutex<Vec<(SocketAddr, Line)>>,
}

/// An open connection.
enum Line {
    One(http1::SendRequest<Stream>),
    Two(http2::SendRequest<Stream>),
}

/// An answer, read to its end.
#[derive(Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Every header.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The protocol it came by.
    pub version: Version,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: String = self.text().chars().take(4000).collect();
        write!(f, "{} {:?}\n{shown}", self.status, self.headers)
    }
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// A header's only value.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        assert!(values.next().is_none(), "{name} came twice: {self:?}");
        Some(first.to_str().unwrap())
    }

    /// Where it sends the browser.
    #[track_caller]
    pub fn location(&self) -> &str {
        self.header(LOCATION.as_str())
            .unwrap_or_else(|| panic!("no Location: {self:?}"))
    }

    /// The whole `Set-Cookie` line of one cookie.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let lines = self
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .map(|line| line.to_str().unwrap());
        lines
            .into_iter()
            .find(|line| line.starts_with(&format!("{name}=")))
            .map(str::to_owned)
    }

    /// Whether a form or a JSON act was accepted: 200, 204 or a redirect.
    pub const fn is_done(&self) -> bool {
        matches!(self.status, 200 | 202 | 204 | 303)
    }

    /// It is a JSON problem of this status and `type`.
    #[track_caller]
    pub fn is_problem(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let json = self.json();
        let type_ = json["type"].as_str().unwrap_or_default();
        assert!(type_.ends_with(kind), "{type_} is not {kind}: {self:?}");
        assert_eq!(json["status"], status, "{self:?}");
    }
}

/// A request on its way to being sent.
pub struct Asking<'a> {
    visitor: &'a Visitor,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Stream,
    cookies: bool,
}

impl Asking<'_> {
    /// Adds a header.
    pub fn header(mut self, name: impl TryInto<HeaderName, Error: std::fmt::Debug>, value: &str) -> Self {
        self.headers.append(
            name.try_into().unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
        self
    }

    /// Without the headers a browser sends by itself of this name.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Without the cookies of the jar; what the story puts in is all there is.
    pub fn without_cookies(mut self) -> Self {
        self.cookies = false;
        self
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Stream::whole(body);
        self
    }

    /// With a body that comes piece by piece.
    pub fn stream(mut self, pieces: tokio::sync::mpsc::Receiver<Bytes>) -> Self {
        self.body = Stream::Open(pieces);
        self
    }

    /// As a form of our own pages would be sent.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
    }

    /// As a script of our own origin would send it.
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.header(CONTENT_TYPE, "application/json").body(value.to_string())
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> Answer {
        self.send_within(SOON).await
    }

    /// The same, where the answer may take longer.
    pub async fn send_within(self, limit: Duration) -> Answer {
        match self.try_send_within(limit).await {
            Ok(answer) => answer,
            Err(error) => panic!("the connection failed: {error:?}"),
        }
    }

    /// Sends it and reads the whole answer; the connection may fail.
    pub async fn try_send(self) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        self.try_send_within(SOON).await
    }

    /// The same within a limit.
    pub async fn try_send_within(self, limit: Duration) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let visitor = self.visitor;
        let work = async {
            let (response, line) = self.start().await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            visitor.idle.lock().push(line);
            Ok(Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
                version: parts.version,
            })
        };
        match tokio::time::timeout(limit, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no answer in time".into()),
        }
    }

    /// Sends it and hands the open answer over.
    pub async fn open(self) -> Response<Incoming> {
        self.open_within(SOON).await
    }

    /// The same, where the head of the answer may take longer, since it follows a large request.
    pub async fn open_within(self, limit: Duration) -> Response<Incoming> {
        let started = tokio::time::timeout(limit, self.start()).await;
        let (response, line) = started.expect("the head of an answer").unwrap();
        // The connection lives as long as its answer; nobody else may use it meanwhile.
        std::mem::forget(line);
        response
    }

    async fn start(self) -> Result<(Response<Incoming>, (SocketAddr, Line)), Box<dyn std::error::Error + Send + Sync>> {
        let visitor = self.visitor;
        let mut request = visitor.request(&self.method, &self.target, self.headers, self.cookies);
        let mut body = Some(self.body);
        loop {
            let (address, mut line) = visitor.line().await?;
            *request.body_mut() = body.take();
            let (parts, content) = request.into_parts();
            let whole = Request::from_parts(parts, content.unwrap_or_else(|| Stream::whole("")));
            match line.send(whole).await {
                Ok(response) => {
                    visitor.keep_cookies(response.headers());
                    return Ok((response, (address, line)));
                }
                // The server had closed an idle connection before a byte was sent.
                Err((_, Some(unsent))) => {
                    let (parts, content) = unsent.into_parts();
                    body = Some(content);
                    request = Request::from_parts(parts, None);
                }
                Err((error, None)) => return Err(error.into()),
            }
        }
    }
}

impl Line {
    async fn send(
        &mut self,
        request: Request<Stream>,
    ) -> Result<Response<Incoming>, (hyper::Error, Option<Request<Stream>>)> {
        let sent = match self {
            Self::One(sender) => sender.try_send_request(request).await,
            Self::Two(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut error| {
            let unsent = error.take_message();
            (error.into_error(), unsent)
        })
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_closed(),
            Self::Two(sender) => sender.is_closed(),
        }
    }
}

impl Visitor {
    /// Before this gateway, at the door with this host.
    pub fn at(gateway: &Gateway, door: &str) -> Self {
        Self::trusting(gateway, door, gateway.roots())
    }

    /// The same, where somebody else vouches for the gateway's certificate.
    pub fn trusting(gateway: &Gateway, door: &str, roots: Arc<RootCertStore>) -> Self {
        Self::of(gateway.address(), door, roots)
    }

    /// Before any gateway, at the door with this host, and port where it has one.
    pub fn of(at: Address, door: &str, roots: Arc<RootCertStore>) -> Self {
        Self {
            at,
            door: door.to_owned(),
            roots,
            from: None,
            http2: false,
            headers: HeaderMap::new(),
            jar: Mutex::default(),
            idle: Mutex::default(),
        }
    }

    /// Before a proxy that stands in front of the gateway.
    #[must_use]
    pub fn through(mut self, proxy: SocketAddr) -> Self {
        self.at = Arc::new(Mutex::new(proxy));
        self
    }

    /// Comes from this address of the machine.
    #[must_use]
    pub fn from(mut self, address: &str) -> Self {
        self.from = Some(address.parse().unwrap());
        self
    }

    /// Speaks HTTP/2.
    #[must_use]
    pub fn over_http2(mut self) -> Self {
        self.http2 = true;
        // What was open speaks the other one.
        self.idle.lock().clear();
        self
    }

    /// Sends a header with everything.
    #[must_use]
    pub fn always(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// The origin of the door.
    pub fn origin(&self) -> String {
        format!("https://{}", self.door)
    }

    /// Somebody typing an address, or following a link.
    pub async fn get(&self, target: &str) -> Answer {
        self.navigate(target).send().await
    }

    /// A navigation, to be added to.
    pub fn navigate(&self, target: &str) -> Asking<'_> {
        self.ask(Method::GET, target)
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-site", "none")
            .header("sec-fetch-dest", "document")
    }

    /// A script of the web client asking.
    pub async fn fetch(&self, target: &str) -> Answer {
        self.script(Method::GET, target).send().await
    }

    /// A script of our own origin asking, to be added to.
    pub fn script(&self, method: Method, target: &str) -> Asking<'_> {
        let looks = method == Method::GET;
        let asking = self
            .ask(method, target)
            .header("accept", "application/json, text/plain, */*")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-dest", "empty");
        if looks {
            asking
        } else {
            let origin = self.origin();
            asking.header(ORIGIN, &origin)
        }
    }

    /// A script of our own origin posting JSON.
    pub async fn post_json(&self, target: &str, value: &serde_json::Value) -> Answer {
        self.script(Method::POST, target).json(value).send().await
    }

    /// Opens a page, fills its form in and sends it.
    #[track_caller]
    pub fn post_form<'a>(
        &'a self,
        target: &'a str,
        fields: &'a [(&'a str, &'a str)],
    ) -> impl Future<Output = Answer> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let opened = self.get(target).await;
            let page = if opened.status == 303 {
                let next = opened.location().to_owned();
                self.get(&next).await
            } else {
                opened
            };
            assert!(page.status < 500, "{caller}: {page:?}");
            self.send_form(&page, target, fields).await
        }
    }

    /// Fills a page's form in, hidden fields as the page has them, and sends it.
    pub async fn send_form(&self, page: &Answer, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.filled_form(page, target, fields).send().await
    }

    /// The same, to be added to before it is sent.
    pub fn filled_form(&self, page: &Answer, target: &str, fields: &[(&str, &str)]) -> Asking<'_> {
        let path = target.split('?').next().unwrap_or_default();
        let hidden = page::hidden_fields(&page.text(), path);
        let mut all: Vec<(&str, &str)> = hidden
            .iter()
            .filter(|(name, _)| !fields.iter().any(|(given, _)| given == name))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        all.extend(fields);
        let origin = self.origin();
        self.ask(Method::POST, path)
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-dest", "document")
            .header(ORIGIN, &origin)
            .form(&all)
    }

    /// Signs in by the page.
    pub async fn sign_in(&self, login: &str, password: &str) -> Answer {
        self.post_form("/login", &[("login", login), ("password", password)])
            .await
    }

    /// Follows the link of a letter and sets a password by the page behind it.
    pub async fn set_password(&self, link: &str, password: &str) -> Answer {
        let page = self.follow(link).await;
        self.send_form(
            &page,
            "/set-password",
            &[("password", password), ("confirmation", password)],
        )
        .await
    }

    /// Opens the link of a letter, as far as it leads within this door.
    pub async fn follow(&self, link: &str) -> Answer {
        let target = link.strip_prefix(&self.origin()).unwrap_or(link);
        let mut answer = self.get(target).await;
        for _ in 0..3 {
            if answer.status != 303 {
                break;
            }
            let next = answer.location().to_owned();
            answer = self.get(&next).await;
        }
        answer
    }

    /// A request with nothing a browser adds but its cookies.
    pub fn ask(&self, method: Method, target: &str) -> Asking<'_> {
        Asking {
            visitor: self,
            method,
            target: target.to_owned(),
            headers: self.headers.clone(),
            body: Stream::whole(""),
            cookies: true,
        }
    }

    /// The value of a cookie in the jar.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar.lock().get(name).cloned()
    }

    /// Puts a cookie into the jar, or takes it out.
    pub fn set_cookie(&self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.jar.lock().insert(name.to_owned(), value.to_owned()),
            None => self.jar.lock().remove(name),
        };
    }

    /// Every cookie's value.
    pub fn cookie_values(&self) -> Vec<String> {
        self.jar.lock().values().cloned().collect()
    }

    /// The session cookie's value.
    #[track_caller]
    pub fn session(&self) -> String {
        self.cookie(SESSION).expect("the visitor has a session cookie")
    }

    /// Whether the gateway lets this visitor through to the web client.
    pub async fn passes(&self) -> bool {
        let answer = self.fetch("/passes").await;
        assert!(matches!(answer.status, 200 | 401), "{answer:?}");
        answer.status == 200
    }

    /// A WebSocket through the gateway.
    pub async fn websocket(&self, target: &str) -> Result<WebSocketStream<TlsStream<TcpStream>>, tungstenite::Error> {
        self.websocket_from(target, &self.origin()).await
    }

    /// A WebSocket opened by a page of this origin.
    pub async fn websocket_from(
        &self,
        target: &str,
        origin: &str,
    ) -> Result<WebSocketStream<TlsStream<TcpStream>>, tungstenite::Error> {
        use tungstenite::client::IntoClientRequest;

        let mut request = format!("wss://{}{target}", self.door).into_client_request()?;
        request.headers_mut().insert(ORIGIN, origin.parse().unwrap());
        if let Some(cookies) = self.cookie_line() {
            request.headers_mut().insert(COOKIE, cookies);
        }
        let stream = self.connect(&[b"http/1.1"]).await?;
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(socket)
    }

    /// The bare connection, for what no browser would say.
    pub async fn raw(&self) -> Raw {
        Raw(self.connect(&[b"http/1.1"]).await.unwrap())
    }

    /// Connects by TLS under the door's name.
    pub async fn connect(&self, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::builder()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let address = *self.at.lock();
        let socket = match self.from {
            None => TcpStream::connect(address).await?,
            Some(from) => {
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::new(from, 0))?;
                socket.connect(address).await?
            }
        };
        socket.set_nodelay(true)?;
        let host = self.door.split_once(':').map_or(&*self.door, |(host, _)| host);
        let name = ServerName::try_from(host.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await
    }

    /// Closes the connections that wait for a next request.
    pub fn hang_up(&self) {
        self.idle.lock().clear();
    }

    async fn line(&self) -> Result<(SocketAddr, Line), Box<dyn std::error::Error + Send + Sync>> {
        let address = *self.at.lock();
        while let Some((to, line)) = self.take_idle() {
            if to == address && !line.is_closed() {
                return Ok((to, line));
            }
        }
        if self.http2 {
            let io = TokioIo::new(self.connect(&[b"h2"]).await?);
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Ok((address, Line::Two(sender)))
        } else {
            let io = TokioIo::new(self.connect(&[b"http/1.1"]).await?);
            let (mut sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection.with_upgrades());
            sender.ready().await?;
            Ok((address, Line::One(sender)))
        }
    }

    fn take_idle(&self) -> Option<(SocketAddr, Line)> {
        self.idle.lock().pop()
    }

    fn request(&self, method: &Method, target: &str, mut headers: HeaderMap, cookies: bool) -> Request<Option<Stream>> {
        if cookies && let Some(line) = self.cookie_line() {
            headers.append(COOKIE, line);
        }
        let uri = if self.http2 {
            format!("https://{}{target}", self.door)
        } else {
            headers.entry(HOST).or_insert_with(|| self.door.parse().unwrap());
            target.to_owned()
        };
        let mut request = Request::builder().method(method).uri(uri).body(None).unwrap();
        *request.headers_mut() = headers;
        request
    }

    fn cookie_line(&self) -> Option<HeaderValue> {
        let jar = self.jar.lock();
        let pairs: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; ").parse().unwrap())
    }

    /// As browsers do (RFC 6265bis section 5.7), as far as it matters here.
    fn keep_cookies(&self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let cookie = cookie::Cookie::parse(line.to_str().unwrap().to_owned()).unwrap();
            if cookie.name().starts_with("__Host-") {
                let sound = cookie.secure() == Some(true) && cookie.path() == Some("/") && cookie.domain().is_none();
                assert!(sound, "a browser refuses this cookie: {line:?}");
            }
            let gone = cookie.value().is_empty() || cookie.max_age().is_some_and(cookie::time::SignedDuration::is_zero);
            self.set_cookie(cookie.name(), (!gone).then(|| cookie.value()));
        }
    }
}

/// A bare connection.
pub struct Raw(pub TlsStream<TcpStream>);

/// What came back over a bare connection until it was closed, or until nothing more came.
#[derive(Debug)]
pub struct Heard {
    /// The bytes, as text.
    pub text: String,
    /// Whether the gateway closed the connection.
    pub closed: bool,
}

impl Heard {
    /// The status codes of all answers.
    pub fn statuses(&self) -> Vec<u16> {
        self.text
            .match_indices("HTTP/1.")
            .filter_map(|(at, _)| self.text.get(at + 9..at + 12)?.parse().ok())
            .collect()
    }

    /// The status code of the first answer; `None` when there is none.
    pub fn status(&self) -> Option<u16> {
        self.statuses().first().copied()
    }
}

impl Raw {
    /// Sends bytes as they are. The gateway may have closed already: then nothing is sent.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok() && self.0.flush().await.is_ok()
    }

    /// Reads until the gateway closes.
    pub async fn hear(&mut self) -> Heard {
        self.hear_for(SOON).await
    }

    /// Reads until the gateway closes, or for so long.
    pub async fn hear_for(&mut self, limit: Duration) -> Heard {
        let mut bytes = Vec::new();
        let reading = async {
            let mut piece = vec![0; 8192];
            loop {
                match self.0.read(&mut piece).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => bytes.extend_from_slice(&piece[..count]),
                }
            }
        };
        let closed = tokio::time::timeout(limit, reading).await.is_ok();
        Heard {
            text: String::from_utf8_lossy(&bytes).into_owned(),
            closed,
        }
    }

    /// Reads one whole answer that says how long it is, and leaves the connection open.
    pub async fn hear_one(&mut self) -> Heard {
        let mut bytes = Vec::new();
        let reading = async {
            let mut piece = vec![0; 8192];
            while !is_whole(&bytes) {
                match self.0.read(&mut piece).await {
                    Ok(0) | Err(_) => return true,
                    Ok(count) => bytes.extend_from_slice(&piece[..count]),
                }
            }
            false
        };
        let closed = soon("an answer on a bare connection", reading).await;
        Heard {
            text: String::from_utf8_lossy(&bytes).into_owned(),
            closed,
        }
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    bytes.len() >= end + 4 + length
}
