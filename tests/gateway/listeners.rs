//! What people meet before any page: certificates by name, renewed while calls go on; proxies that say whose connection
//! they bring; the way from plain HTTP to TLS; sockets that others hold.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sha2::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{House, IN, OUT, SESSION, eventually, soon, within};

/// One second is promised; the rest is for a machine that is busy with other tests.
const PROMISED: Duration = Duration::from_secs(3);

/// A certificate authority of one story.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
    /// Its own certificate, in PEM.
    certificate: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut roots = RootCertStore::empty();
        let certificate = params.self_signed(&key).unwrap();
        roots.add(certificate.der().clone()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            roots: Arc::new(roots),
            certificate: certificate.pem(),
        }
    }

    /// A certificate for these names and its key, as `NAME.pem` and `NAME.key`, put into place as renewals do it.
    fn issue(&self, directory: &Path, name: &str, hosts: &[&str]) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let certificate = CertificateParams::new(hosts)
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        put(&directory.join(format!("{name}.pem")), &certificate.pem());
        put(&directory.join(format!("{name}.key")), &key.serialize_pem());
        certificate.der().clone()
    }
}

fn put(file: &Path, content: &str) {
    let draft = file.with_extension("new");
    fs::write(&draft, content).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&draft, file).unwrap();
}

async fn handshake(to: SocketAddr, name: &str, roots: &Arc<RootCertStore>) -> io::Result<TlsStream<TcpStream>> {
    introduced(to, b"", name, roots).await
}

/// The same, with something said before.
pub async fn introduced(
    to: SocketAddr,
    said: &[u8],
    name: &str,
    roots: &Arc<RootCertStore>,
) -> io::Result<TlsStream<TcpStream>> {
    let config = ClientConfig::builder()
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    let mut socket = TcpStream::connect(to).await?;
    socket.write_all(said).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, socket);
    soon("a handshake to end", connecting).await
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    certificates.first().unwrap().clone().into_owned()
}

/// Asks for something and reads until the connection is closed.
async fn ask(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, target: &str, host: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    // A server may close without a farewell.
    let _ = soon("an answer", stream.read_to_end(&mut heard)).await;
    String::from_utf8_lossy(&heard).into_owned()
}

fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| {
        let (field, value) = line.split_once(": ")?;
        field.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_has_its_certificate_and_who_asks_for_none_of_them_gets_the_first() {
    let house = House::closed("").await;
    let (home, authority) = (house.gateway.home().to_owned(), Authority::new());
    let first = authority.issue(&home, "in", &[IN]);
    let second = authority.issue(&home, "out", &[OUT]);
    let wild = authority.issue(&home, "wild", &["*.door.test"]);
    let shown_home = home.display();
    house.gateway.configure(&format!(
        "[server]\ntls_certificate = \"{shown_home}/in.pem\"\ntls_key = \"{shown_home}/in.key\"\nmore_certificates = \
         [{{ certificate = \"{shown_home}/wild.pem\", key = \"{shown_home}/wild.key\" }}, {{ certificate = \
         \"{shown_home}/out.pem\", key = \"{shown_home}/out.key\" }}]"
    ));
    let checked = house.gateway.cli(&["config", "check"]).await;
    assert!(
        checked.code == Some(0) && !checked.err.contains("certificate"),
        "{checked:?}"
    );
    house.gateway.start().await;
    let at = *house.gateway.address().lock();
    for (name, expected) in [(IN, &first), (OUT, &second), ("other.door.test", &wild)] {
        let stream = handshake(at, name, &authority.roots).await.unwrap();
        assert_eq!(&shown(&stream), expected, "{name}");
    }
    let foreign = handshake(at, "a.b.example", &authority.roots).await.unwrap_err();
    assert!(
        foreign.to_string().contains("certificate"),
        "the first one is shown: {foreign}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_served_while_calls_go_on_and_a_broken_one_is_refused() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let mut call = visitor.websocket("/ws").await.unwrap();
    let (home, at) = (house.gateway.home().to_owned(), *house.gateway.address().lock());
    let authority = Authority::new();
    assert!(handshake(at, IN, &authority.roots).await.is_err());

    let renewed = authority.issue(&home, "tls", &[IN, OUT]);
    let stream = within(PROMISED, "the new certificate", async || {
        handshake(at, IN, &authority.roots).await.ok()
    })
    .await;
    assert_eq!(shown(&stream), renewed);
    call.send(Message::text("still here")).await.unwrap();
    let heard = soon("the echo", call.next()).await.unwrap().unwrap();
    assert_eq!(heard, Message::text("still here"));

    // A certificate without its key, and then something that is none at all.
    put(&home.join("tls.key"), &KeyPair::generate().unwrap().serialize_pem());
    let refusals = || house.gateway.printed().matches("a new certificate was refused").count();
    eventually("a refusal in the log", async || (refusals() == 1).then_some(())).await;
    assert!(house.gateway.printed().contains("do not belong together"));
    put(&home.join("tls.pem"), "not a certificate");
    eventually("another refusal in the log", async || (refusals() == 2).then_some(())).await;
    let stream = handshake(at, IN, &authority.roots).await.unwrap();
    assert_eq!(shown(&stream), renewed, "the one before serves on");

    let again = authority.issue(&home, "tls", &[IN, OUT]);
    within(PROMISED, "the next certificate", async || {
        let stream = handshake(at, IN, &authority.roots).await.ok()?;
        (shown(&stream) == again).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn config_check_says_which_door_has_no_certificate_and_which_key_is_not_its_own() {
    let house = House::closed("").await;
    let (home, authority) = (house.gateway.home().to_owned(), Authority::new());
    authority.issue(&home, "tls", &[IN]);
    let ran = house.gateway.cli(&["config", "check"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("no certificate is for the door out.test"), "{ran:?}");
    put(&home.join("tls.key"), &KeyPair::generate().unwrap().serialize_pem());
    let ran = house.gateway.cli(&["config", "check"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("do not belong together"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_an_older_tls_than_is_allowed() {
    let house = House::with("[server]\ntls_min = \"1.3\"").await;
    let at = *house.gateway.address().lock();
    let with = |version| {
        ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(house.gateway.roots())
            .with_no_client_auth()
    };
    for (config, admitted) in [
        (with(&rustls::version::TLS12), false),
        (with(&rustls::version::TLS13), true),
    ] {
        let socket = TcpStream::connect(at).await.unwrap();
        let name = ServerName::try_from(IN).unwrap();
        let connected = soon(
            "a handshake",
            TlsConnector::from(Arc::new(config)).connect(name, socket),
        )
        .await;
        assert_eq!(connected.is_ok(), admitted, "{connected:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_told_to_the_web_client_and_replaces_no_sign_in() {
    let house = House::closed("").await;
    let (home, authority, stranger) = (house.gateway.home().to_owned(), Authority::new(), Authority::new());
    put(&home.join("clients.pem"), &authority.certificate);
    let mine = authority.issue(&home, "mine", &["desk-7.test"]);
    stranger.issue(&home, "foreign", &["desk-7.test"]);
    house.gateway.configure(&format!(
        "[server]\nclient_certificates = \"optional\"\nclient_ca_file = \"{}/clients.pem\"",
        home.display()
    ));
    house.gateway.start().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let at = *house.gateway.address().lock();
    let claims = async |certificate: Option<&str>| {
        let stream = certified(at, &house, certificate).await.unwrap();
        let cookie = format!("{SESSION}={}\r\nX-Client-Cert: forged", visitor.session());
        let answer = ask(stream, "/passes", &format!("{IN}\r\nCookie: {cookie}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let received = house.upstream.last();
        assert_eq!(received.header("x-client-cert"), None, "nobody says it of themselves");
        claims_of(received.assertion())
    };
    let told = claims(Some("mine")).await;
    let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&mine));
    assert_eq!(told["cnf"]["x5t#S256"], thumbprint);
    assert!(told["cert_subject"].as_str().unwrap().contains("rcgen"), "{told}");
    let untold = claims(None).await;
    assert!(
        untold.get("cnf").is_none() && untold.get("cert_subject").is_none(),
        "{untold}"
    );
    assert_eq!(
        claims(Some("mine")).await["cnf"]["x5t#S256"],
        thumbprint,
        "nothing was kept between them"
    );

    let nobody = certified(at, &house, Some("mine")).await.unwrap();
    let answer = ask(nobody, "/passes", IN).await;
    assert!(
        !answer.starts_with("HTTP/1.1 200"),
        "a certificate signs nobody in: {answer}"
    );
    let refused = certified(at, &house, Some("foreign")).await;
    assert!(is_turned_away(refused).await);

    house.gateway.configure("[server]\nclient_certificates = \"required\"");
    house.gateway.restart().await;
    let at = *house.gateway.address().lock();
    assert!(is_turned_away(certified(at, &house, None).await).await);
    certified(at, &house, Some("mine")).await.unwrap();
}

/// Connects with a certificate that lies in the house, or without.
async fn certified(to: SocketAddr, house: &House, certificate: Option<&str>) -> io::Result<TlsStream<TcpStream>> {
    let config = ClientConfig::builder().with_root_certificates(house.gateway.roots());
    let config = match certificate {
        None => config.with_no_client_auth(),
        Some(name) => {
            let home = house.gateway.home();
            let chain = CertificateDer::from_pem_file(home.join(format!("{name}.pem"))).unwrap();
            let key = PrivateKeyDer::from_pem_file(home.join(format!("{name}.key"))).unwrap();
            config.with_client_auth_cert(vec![chain], key).unwrap()
        }
    };
    let socket = TcpStream::connect(to).await?;
    let name = ServerName::try_from(IN).unwrap();
    soon(
        "a handshake",
        TlsConnector::from(Arc::new(config)).connect(name, socket),
    )
    .await
}

/// In TLS 1.3 a client hears of its refusal only when it reads.
async fn is_turned_away(connected: io::Result<TlsStream<TcpStream>>) -> bool {
    match connected {
        Err(_) => true,
        Ok(mut stream) => {
            let read = soon("the refusal", stream.read(&mut [0; 1])).await;
            read.is_err() || matches!(read, Ok(0))
        }
    }
}

fn claims_of(jwt: &str) -> serde_json::Value {
    let payload = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A version 2 header for a connection from 203.0.113.9.
fn binary() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([203, 0, 113, 9, 10, 0, 0, 1, 0x1f, 0x90, 1, 187]);
    header
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_proxy_says_whose_connection_it_brings() {
    let house = House::with(
        "[server]\nproxy_protocol = [\"127.0.0.1/32\"]\nmax_connections_per_client = 1\n[access]\npublic = [\"/open\"]",
    )
    .await;
    let (at, roots) = (*house.gateway.address().lock(), house.gateway.roots());
    for (said, client) in [
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 443\r\n".to_vec(), "203.0.113.7"),
        (
            b"PROXY TCP6 2001:db8::7 2001:db8::1 8080 443\r\n".to_vec(),
            "2001:db8::7",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (binary(), "203.0.113.9"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(), "127.0.0.1"),
    ] {
        let stream = introduced(at, &said, IN, &roots).await.unwrap();
        let answer = ask(stream, "/open", IN).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(house.upstream.last().header("x-forwarded-for"), Some(client));
    }
    // The caps count the client, not the proxy.
    let line = |client: &str| format!("PROXY TCP4 {client} 10.0.0.1 8080 443\r\n");
    let _open = introduced(at, line("203.0.113.1").as_bytes(), IN, &roots)
        .await
        .unwrap();
    assert!(
        introduced(at, line("203.0.113.1").as_bytes(), IN, &roots)
            .await
            .is_err()
    );
    introduced(at, line("203.0.113.2").as_bytes(), IN, &roots)
        .await
        .unwrap();

    for unsaid in [&b""[..], b"PROXY TCP4 203.0.113.7\r\n", b"GET / HTTP/1.1\r\n"] {
        assert!(introduced(at, unsaid, IN, &roots).await.is_err(), "{unsaid:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_proxy_brings_people_to_the_redirect_as_well() {
    let house = House::with(
        "[server]\nredirect_listen = [\"127.0.0.1:0\"]\nproxy_protocol = [\"127.0.0.1/32\"]\nheader_timeout = \"1s\"",
    )
    .await;
    let said = house.gateway.said();
    let plain = said.iter().find_map(|line| line.strip_prefix("redirecting on "));
    let plain: SocketAddr = plain.unwrap().parse().unwrap();
    for introduction in [b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\r\n".to_vec(), binary()] {
        let mut socket = TcpStream::connect(plain).await.unwrap();
        socket.write_all(&introduction).await.unwrap();
        let answer = ask(socket, "/a", IN).await;
        assert_eq!(field(&answer, "location"), Some("https://in.test/a"), "{answer}");
    }
    let unsaid = ask(TcpStream::connect(plain).await.unwrap(), "/a", IN).await;
    assert_eq!(unsaid, "", "who is listed must begin with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_say_where_a_connection_comes_from() {
    let house = House::with("[server]\nproxy_protocol = [\"10.0.0.5\"]\n[access]\npublic = [\"/open\"]").await;
    let (at, roots) = (*house.gateway.address().lock(), house.gateway.roots());
    for said in [b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 443\r\n".to_vec(), binary()] {
        assert!(introduced(at, &said, IN, &roots).await.is_err());
    }
    let stream = handshake(at, IN, &roots).await.unwrap();
    assert!(ask(stream, "/open", IN).await.starts_with("HTTP/1.1 200"));
    assert_eq!(house.upstream.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_leads_to_the_door_of_the_same_name_and_nowhere_else() {
    let house = House::closed("[server]\nredirect_listen = [\"127.0.0.1:0\"]\nheader_timeout = \"1s\"").await;
    let challenges = house.gateway.home().join("challenges");
    fs::create_dir(&challenges).unwrap();
    fs::write(challenges.join("tok_en-1"), "the answer").unwrap();
    house
        .gateway
        .configure(&format!("[server]\nacme_directory = \"{}\"", challenges.display()));
    house.gateway.start().await;
    let said = house.gateway.said();
    let plain = said
        .iter()
        .find_map(|line| line.strip_prefix("redirecting on "))
        .unwrap();
    let plain: SocketAddr = plain.parse().unwrap();
    let get = async |target: &str, host: &str| ask(TcpStream::connect(plain).await.unwrap(), target, host).await;

    let answer = get("/a/b?c=d", IN).await;
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
    assert_eq!(field(&answer, "location"), Some("https://in.test/a/b?c=d"));
    assert_eq!(field(&answer, "set-cookie"), None);
    assert_eq!(
        field(&answer, "strict-transport-security"),
        None,
        "browsers ignore it here"
    );
    for (target, host, status) in [
        ("/", "evil.test", "421"),
        ("http://in.test/", "in.test", "400"),
        ("/.well-known/acme-challenge/nothing", OUT, "404"),
        ("/.well-known/acme-challenge/..%2Ftls.key", OUT, "404"),
    ] {
        let answer = get(target, host).await;
        assert_eq!(answer.get(9..12), Some(status), "{target} {host}: {answer}");
        assert_eq!(field(&answer, "location"), None);
    }
    let answer = get("/.well-known/acme-challenge/tok_en-1", OUT).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nthe answer"),
        "{answer}"
    );

    let mut slow = TcpStream::connect(plain).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    let mut rest = Vec::new();
    let _ = soon("the slow one to be cut", slow.read_to_end(&mut rest)).await;
    assert!(house.gateway.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_proxy_on_this_machine_comes_by_a_unix_socket() {
    let house = House::closed("[access]\npublic = [\"/open\"]").await;
    let path = house.gateway.home().join("web.sock");
    let listen = format!("[server]\nlisten = [\"unix:{}\", \"127.0.0.1:0\"]", path.display());
    house.gateway.configure(&listen);
    // What a killed gateway leaves is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    house.gateway.start().await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let forwarded = async |client: &str| {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let head =
            format!("GET /open HTTP/1.1\r\nX-Forwarded-For: {client}\r\nHost: {IN}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon("an answer", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        house.upstream.last().header("x-forwarded-for").unwrap().to_owned()
    };
    assert_eq!(
        forwarded("203.0.113.7").await,
        "127.0.0.1",
        "nobody said that it may speak for others"
    );
    assert!(house.gateway.stop().await.success());
    assert!(!path.exists(), "it goes with the gateway");
    house.gateway.configure("[server]\ntrusted_proxies = [\"127.0.0.1\"]");
    house.gateway.start().await;
    assert_eq!(forwarded("203.0.113.7").await, "203.0.113.7");
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hands_over_its_sockets_by_name() {
    let house = House::closed("[server]\nlisten = [\"systemd:web\"]\n[access]\npublic = [\"/open\"]").await;
    let alone = house.gateway.cli(&["serve"]).await;
    assert_eq!(alone.code, Some(1), "{alone:?}");
    assert!(
        alone.err.contains("no socket of this name was handed over"),
        "{alone:?}"
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    // As systemd does it: the socket is the fourth open file, and the variables say so.
    let serve = house.gateway.command(&["serve"]);
    let mut command = Command::new("/bin/sh");
    command
        .args([
            "-c",
            "export LISTEN_FDS=1 LISTEN_FDNAMES=web LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 </dev/null",
        ])
        .arg(serve.get_program())
        .args(serve.get_args())
        .current_dir(house.gateway.home())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(std::os::fd::OwnedFd::from(listener));
    house.gateway.start_by(command).await;
    assert_eq!(*house.gateway.address().lock(), at);
    let stream = handshake(at, IN, &house.gateway.roots()).await.unwrap();
    assert!(ask(stream, "/open", IN).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_kept_on_tls_by_every_answer() {
    let house = House::with("[server]\nhsts = \"30d\"\nhsts_subdomains = true\n[access]\npublic = [\"/open\"]").await;
    let visitor = house.visitor();
    for target in ["/login", "/open", "/nowhere", "/.sekisho/session"] {
        let answer = visitor.get(target).await;
        let expected = Some("max-age=2592000; includeSubDomains");
        assert_eq!(
            answer.header("strict-transport-security"),
            expected,
            "{target}: {answer:?}"
        );
    }
    house.gateway.configure("[server]\nhsts = \"0s\"");
    house.gateway.restart().await;
    let answer = visitor.get("/login").await;
    assert_eq!(answer.header("strict-transport-security"), None, "{answer:?}");
}
