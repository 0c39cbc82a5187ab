//! The sample client over real sockets, with keys and a JWKS of the tests' own.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use axum::Json;
use axum::http::header;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use reqwest::{RequestBuilder, Response, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::task::block_in_place;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::tungstenite::{self, HandshakeError, WebSocket};

use super::*;

const ASSERTION: &str = "x-sekisho-assertion";
const DEADLINE: Duration = Duration::from_secs(10);

/// A signing key and what is published of it.
struct Key {
    algorithm: Algorithm,
    private: EncodingKey,
    public: Jwk,
}

impl Key {
    fn es256(kid: &str) -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self::new(kid, Algorithm::ES256, EncodingKey::from_ec_der(pkcs8.as_ref()))
    }

    fn eddsa(kid: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        Self::new(kid, Algorithm::EdDSA, EncodingKey::from_ed_der(pkcs8.as_ref()))
    }

    fn new(kid: &str, algorithm: Algorithm, private: EncodingKey) -> Self {
        let mut public = Jwk::from_encoding_key(&private, algorithm).unwrap();
        public.common.key_id = Some(kid.to_owned());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Self {
            algorithm,
            private,
            public,
        }
    }

    fn head(&self) -> Header {
        let mut head = Header::new(self.algorithm);
        head.kid.clone_from(&self.public.common.key_id);
        head
    }

    fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.head(), claims, &self.private).unwrap()
    }
}

fn claims(ext: &str, name: &str) -> Value {
    let now = unix_now();
    json!({
        "iss": "https://gateway.test", "aud": "phone", "sub": "0198f0c2-account", "sid": "0198f0c3-session-1234abcd",
        "jti": "1", "iat": now, "nbf": now, "exp": now + 60, "auth_time": now - 60, "amr": ["pwd"],
        "ext": ext, "name": name, "email": "hanako@example.org", "groups": ["sales"],
    })
}

/// A gateway's JWKS and a sample client that trusts it.
struct Stage {
    key: Key,
    published: Arc<Mutex<Vec<Jwk>>>,
    fetches: Arc<AtomicUsize>,
    addr: SocketAddr,
    stop: CancellationToken,
}

impl Stage {
    async fn set() -> Self {
        Self::with(Key::es256("k1")).await
    }

    async fn with(key: Key) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let published = Arc::new(Mutex::new(vec![key.public.clone()]));
        let fetches = Arc::new(AtomicUsize::new(0));
        let (keys, count) = (Arc::clone(&published), Arc::clone(&fetches));
        let jwks = Router::new().route(
            "/jwks.json",
            get(move || {
                count.fetch_add(1, Ordering::SeqCst);
                let keys = keys.lock().clone();
                async move { Json(json!({ "keys": keys })) }
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, jwks).into_future());

        let trust = Trust {
            jwks_url: format!("http://sekisho.test:{}/jwks.json", gateway.port()),
            ca_pem: None,
            issuer: "https://gateway.test".to_owned(),
            audience: "phone".to_owned(),
            header: "X-Sekisho-Assertion".to_owned(),
            logout_path: "/logout".to_owned(),
            door_connect: Some(gateway),
        };
        let client = SampleClient::bind("127.0.0.1:0".parse().unwrap(), trust).await.unwrap();
        let (addr, stop) = (client.addr(), CancellationToken::new());
        tokio::spawn(client.run(stop.clone()));
        Self {
            key,
            published,
            fetches,
            addr,
            stop,
        }
    }

    fn pass(&self) -> String {
        self.key.sign(&claims("1001", "Hanako Sato"))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
        client.get(format!("http://{}{path}", self.addr))
    }

    async fn signed_in(&self, path: &str) -> Response {
        self.get(path).header(ASSERTION, self.pass()).send().await.unwrap()
    }

    /// The reason a token is refused for, and the step that failed.
    async fn refusal(&self, token: &str) -> (String, String) {
        let answer = self.get("/me").header(ASSERTION, token).send().await.unwrap();
        reason(answer).await
    }

    /// A WebSocket with these further headers, or the status that refuses it.
    fn socket(&self, headers: &[(&'static str, &str)]) -> Result<Socket, StatusCode> {
        let mut request = format!("ws://{}/ws", self.addr).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        block_in_place(|| {
            let stream = TcpStream::connect(self.addr).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            match tungstenite::client(request, stream) {
                Ok((socket, _)) => Ok(Socket(socket)),
                Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => Err(answer.status()),
                Err(error) => panic!("{error}"),
            }
        })
    }

    /// A connected page of this person, past its greeting.
    fn page(&self, ext: &str, name: &str) -> Socket {
        let mut socket = self.socket(&[(ASSERTION, &self.key.sign(&claims(ext, name)))]).unwrap();
        let hello = socket.until(|message| message["type"] == "hello");
        assert_eq!(hello["you"], ext);
        socket
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn reason(answer: Response) -> (String, String) {
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    let problem: Value = answer.json().await.unwrap();
    let checks = problem["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 9);
    let failed: Vec<_> = checks.iter().filter(|check| check["mark"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&problem["reason"]), text(&failed[0]["name"]))
}

struct Socket(WebSocket<TcpStream>);

impl Socket {
    fn say(&mut self, message: &Value) {
        block_in_place(|| self.0.send(Message::text(message.to_string()))).unwrap();
    }

    /// The first message that this is true for.
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        block_in_place(|| {
            loop {
                if let Message::Text(text) = self.0.read().unwrap() {
                    let message = serde_json::from_str(&text).unwrap();
                    if wanted(&message) {
                        return message;
                    }
                }
            }
        })
    }

    fn until_call(&mut self, state: &str) -> Value {
        self.until(|message| message["type"] == "call" && message["state"] == state)
    }

    fn until_closed(&mut self) -> Option<CloseFrame> {
        block_in_place(|| {
            loop {
                if let Message::Close(frame) = self.0.read().unwrap() {
                    return frame;
                }
            }
        })
    }
}

/// Replaces a part of a compact token.
fn with_part(token: &str, index: usize, part: &str) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[index] = part;
    parts.join(".")
}

#[tokio::test]
async fn a_valid_assertion_opens_the_page_and_names_the_person() {
    let stage = Stage::set().await;
    let answer = stage.signed_in("/").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let policy = answer.headers()[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"));
    let page = answer.text().await.unwrap();
    for shown in [
        "Hanako Sato",
        "1001",
        "hanako@example.org",
        "sales",
        "1234abcd",
        "href=\"&#x2f;logout\"",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
}

#[tokio::test]
async fn an_ed25519_key_is_as_good() {
    let stage = Stage::with(Key::eddsa("k1")).await;
    let me: Value = stage.signed_in("/me").await.json().await.unwrap();
    assert_eq!(me["name"], "Hanako Sato");
}

#[tokio::test]
async fn what_a_name_contains_never_becomes_markup() {
    let stage = Stage::set().await;
    let token = stage.key.sign(&claims("1001", "<script>alert('x')</script>"));
    let answer = stage.get("/").header(ASSERTION, token).send().await.unwrap();
    assert!(!answer.text().await.unwrap().contains("<script>alert"));
}

#[rstest]
#[case::the_page("/")]
#[case::the_style("/app.css")]
#[case::the_script("/app.js")]
#[case::the_api("/me")]
#[case::the_headers("/headers")]
#[case::the_events("/events")]
#[case::the_socket("/ws")]
#[case::the_upload("/upload")]
#[case::nothing("/no/such/path")]
#[tokio::test]
async fn without_an_assertion_nothing_is_answered(#[case] path: &str) {
    let stage = Stage::set().await;
    let answer = stage.get(path).send().await.unwrap();
    assert_eq!(reason(answer).await, ("no_header".to_owned(), "header".to_owned()));
    let answer = stage
        .get(path)
        .header(header::ACCEPT, "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(
        answer
            .text()
            .await
            .unwrap()
            .contains("did not come through the gateway")
    );
    assert_eq!(
        stage.fetches.load(Ordering::SeqCst),
        0,
        "nothing to verify, nothing to fetch"
    );
}

#[tokio::test]
async fn two_assertions_are_one_too_many_even_when_both_are_valid() {
    let stage = Stage::set().await;
    let request = stage
        .get("/me")
        .header(ASSERTION, stage.pass())
        .header(ASSERTION, stage.pass());
    let answer = request.send().await.unwrap();
    assert_eq!(reason(answer).await.0, "several_headers");
}

#[rstest]
#[case::expired("exp", json!(unix_now() - 30), "expired", "lifetime")]
#[case::not_yet_valid("nbf", json!(unix_now() + 30), "not_yet_valid", "lifetime")]
#[case::endless("exp", Value::Null, "missing_claim", "lifetime")]
#[case::since_ever("nbf", Value::Null, "missing_claim", "lifetime")]
#[case::a_time_in_words("exp", json!("tomorrow"), "missing_claim", "lifetime")]
#[case::another_issuer("iss", json!("https://other.test"), "wrong_issuer", "issuer")]
#[case::nobodys("iss", Value::Null, "missing_claim", "issuer")]
#[case::another_audience("aud", json!("wiki"), "wrong_audience", "audience")]
#[case::other_audiences("aud", json!(["wiki", "mail"]), "wrong_audience", "audience")]
#[case::for_nobody("aud", Value::Null, "missing_claim", "audience")]
#[case::nameless("name", Value::Null, "missing_claim", "identity")]
#[case::about_nobody("sub", Value::Null, "missing_claim", "identity")]
#[tokio::test]
async fn a_signed_token_with_a_wrong_claim_is_refused_and_says_which(
    #[case] claim: &str,
    #[case] value: Value,
    #[case] reason: &str,
    #[case] step: &str,
) {
    let stage = Stage::set().await;
    let mut wrong = claims("1001", "Hanako Sato");
    wrong[claim] = value;
    assert_eq!(
        stage.refusal(&stage.key.sign(&wrong)).await,
        (reason.to_owned(), step.to_owned())
    );
    assert_eq!(stage.signed_in("/me").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn one_audience_of_several_is_enough() {
    let stage = Stage::set().await;
    let mut both = claims("1001", "Hanako Sato");
    both["aud"] = json!(["wiki", "phone"]);
    let answer = stage
        .get("/me")
        .header(ASSERTION, stage.key.sign(&both))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn no_algorithm_but_that_of_the_key_is_accepted() {
    let stage = Stage::set().await;
    let (key, pass) = (&stage.key, stage.pass());
    let claims = claims("1001", "Hanako Sato");
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT","kid":"k1"}"#);
    let unsigned = with_part(&with_part(&pass, 0, &none), 2, "");
    let algorithm = ("wrong_algorithm".to_owned(), "algorithm".to_owned());
    assert_eq!(stage.refusal(&unsigned).await, algorithm);

    // The published key as the secret of an HMAC: the classic confusion.
    let mut head = key.head();
    head.alg = Algorithm::HS256;
    let secret = serde_json::to_vec(&key.public).unwrap();
    let confused = jsonwebtoken::encode(&head, &claims, &EncodingKey::from_secret(&secret)).unwrap();
    assert_eq!(stage.refusal(&confused).await, algorithm);

    let mut other = Key::eddsa("k1");
    other.public.common.key_id = Some("k1".to_owned());
    assert_eq!(stage.refusal(&other.sign(&claims)).await, algorithm);
}

#[tokio::test]
async fn a_signature_of_another_key_or_over_other_claims_is_refused() {
    let stage = Stage::set().await;
    let bad = ("bad_signature".to_owned(), "signature".to_owned());
    assert_eq!(
        stage.refusal(&Key::es256("k1").sign(&claims("1001", "Hanako"))).await,
        bad
    );
    let forged = URL_SAFE_NO_PAD.encode(claims("1001", "Mallory").to_string());
    assert_eq!(stage.refusal(&with_part(&stage.pass(), 1, &forged)).await, bad);
}

#[rstest]
#[case::another_type(json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}), "wrong_type", "form")]
#[case::no_type(json!({"alg": "ES256", "kid": "k1"}), "wrong_type", "form")]
#[case::an_extension(json!({"alg": "ES256", "typ": "JWT", "kid": "k1", "crit": ["x"]}), "malformed", "form")]
#[case::no_key(json!({"alg": "ES256", "typ": "JWT"}), "unknown_key", "key")]
#[tokio::test]
async fn a_header_that_asks_for_something_else_is_refused(
    #[case] head: Value,
    #[case] reason: &str,
    #[case] step: &str,
) {
    let stage = Stage::set().await;
    let token = with_part(&stage.pass(), 0, &URL_SAFE_NO_PAD.encode(head.to_string()));
    assert_eq!(stage.refusal(&token).await, (reason.to_owned(), step.to_owned()));
}

#[rstest]
#[case("nonsense")]
#[case("a.b")]
#[case("a.b.c.d")]
#[case("e30.e30.")]
#[tokio::test]
async fn what_is_no_token_is_refused(#[case] token: &str) {
    let stage = Stage::set().await;
    assert_eq!(stage.refusal(token).await, ("malformed".to_owned(), "form".to_owned()));
}

#[tokio::test]
async fn an_unknown_key_makes_one_fetch_however_many_ask() {
    let stage = Stage::set().await;
    assert_eq!(stage.signed_in("/me").await.status(), StatusCode::OK);
    let token = Key::es256("k2").sign(&claims("1001", "Hanako"));
    for _ in 0..5 {
        assert_eq!(
            stage.refusal(&token).await,
            ("unknown_key".to_owned(), "key".to_owned())
        );
    }
    assert_eq!(stage.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn requests_that_arrive_together_share_one_fetch() {
    let stage = Stage::set().await;
    let (one, two, three) = tokio::join!(stage.signed_in("/me"), stage.signed_in("/me"), stage.signed_in("/me"));
    for answer in [one, two, three] {
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(stage.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_key_that_the_gateway_has_rotated_in_is_found() {
    let stage = Stage::set().await;
    assert_eq!(stage.signed_in("/me").await.status(), StatusCode::OK);
    let next = Key::es256("k2");
    stage.published.lock().push(next.public.clone());
    let token = next.sign(&claims("1001", "Hanako"));
    let accepted = async {
        loop {
            let answer = stage.get("/me").header(ASSERTION, &token).send().await.unwrap();
            if answer.status() == StatusCode::OK {
                return;
            }
        }
    };
    timeout(DEADLINE, accepted).await.unwrap();
    assert_eq!(stage.fetches.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn without_the_gateways_keys_nobody_is_believed() {
    let stage = Stage::set().await;
    // A gateway that publishes nothing readable.
    stage.published.lock().clear();
    assert_eq!(stage.refusal(&stage.pass()).await.0, "unknown_key");

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let trust = Trust {
        jwks_url: format!("http://{nobody}/jwks.json"),
        ca_pem: None,
        issuer: "https://gateway.test".to_owned(),
        audience: "phone".to_owned(),
        header: ASSERTION.to_owned(),
        logout_path: "/logout".to_owned(),
        door_connect: None,
    };
    let keys = Keys::new(&trust).unwrap();
    assert!(matches!(keys.find("k1").await, Err(keys::KeyError::Unavailable(_))));
}

/// A gateway that answers one request after another over TLS, with this certificate.
fn tls_gateway(certified: &rcgen::CertifiedKey<rcgen::KeyPair>, jwks: String) -> SocketAddr {
    use std::io::{Read, Write};
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut request = [0; 4096];
            // A client that does not trust the certificate leaves during the handshake.
            if tls.read(&mut request).is_ok_and(|read| read > 0) {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    jwks.len()
                );
                tls.write_all((head + &jwks).as_bytes()).unwrap();
                tls.conn.send_close_notify();
                tls.flush().unwrap();
            }
        }
    });
    addr
}

#[tokio::test]
async fn the_keys_come_over_tls_from_a_gateway_whose_authority_is_trusted_and_from_no_other() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let certified = rcgen::generate_simple_self_signed(vec!["sekisho.localhost".to_owned()]).unwrap();
    let addr = tls_gateway(&certified, json!({ "keys": [Key::es256("k1").public] }).to_string());
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), certified.cert.pem()).unwrap();
    let mut trust = Trust {
        jwks_url: format!("https://sekisho.localhost:{}/jwks.json", addr.port()),
        ca_pem: Some(ca.path().to_owned()),
        issuer: "https://gateway.test".to_owned(),
        audience: "phone".to_owned(),
        header: ASSERTION.to_owned(),
        logout_path: "/logout".to_owned(),
        door_connect: Some(addr),
    };
    assert!(Keys::new(&trust).unwrap().find("k1").await.is_ok());
    // Another certificate for the same name.
    let other = rcgen::generate_simple_self_signed(vec!["sekisho.localhost".to_owned()]).unwrap();
    std::fs::write(ca.path(), other.cert.pem()).unwrap();
    assert!(matches!(
        Keys::new(&trust).unwrap().find("k1").await,
        Err(keys::KeyError::Unavailable(_))
    ));
    trust.ca_pem = None;
    assert!(Keys::new(&trust).unwrap().find("k1").await.is_err());
}

#[rstest]
#[case::no_url("nonsense", None, ASSERTION)]
#[case::no_file("https://localhost/jwks.json", Some("/no/such/ca.pem"), ASSERTION)]
#[case::no_certificate("https://localhost/jwks.json", Some("Cargo.toml"), ASSERTION)]
#[case::no_header_name("https://localhost/jwks.json", None, "not a name")]
#[tokio::test]
async fn trust_that_makes_no_sense_is_said_before_anything_listens(
    #[case] jwks_url: &str,
    #[case] ca_pem: Option<&str>,
    #[case] header: &str,
) {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let trust = Trust {
        jwks_url: jwks_url.to_owned(),
        ca_pem: ca_pem.map(PathBuf::from),
        issuer: "https://gateway.test".to_owned(),
        audience: "phone".to_owned(),
        header: header.to_owned(),
        logout_path: "/logout".to_owned(),
        door_connect: None,
    };
    let error = SampleClient::bind("127.0.0.1:0".parse().unwrap(), trust)
        .await
        .unwrap_err();
    assert!(!error.to_string().is_empty());
}

#[tokio::test]
async fn the_request_is_shown_as_it_arrived_with_every_check_passed() {
    let stage = Stage::set().await;
    let request = stage
        .get("/headers")
        .header(ASSERTION, stage.pass())
        .header("x-probe", "one");
    let seen: Value = request.send().await.unwrap().json().await.unwrap();
    assert!(seen["headers"].as_array().unwrap().contains(&json!(["x-probe", "one"])));
    assert_eq!(seen["assertion"]["claims"]["ext"], "1001");
    assert_eq!(seen["assertion"]["header"]["alg"], "ES256");
    let checks = seen["assertion"]["checks"].as_array().unwrap();
    assert!(checks.len() == 9 && checks.iter().all(|check| check["mark"] == "passed"));
}

#[rstest]
#[case::by_browser("/", "ja,en;q=0.8", "ログアウト")]
#[case::by_weight("/", "fr, en;q=0.4, ja-JP;q=0.7", "ログアウト")]
#[case::by_address("/?lang=en", "ja", "Sign out")]
#[case::by_default("/", "fr", "Sign out")]
#[tokio::test]
async fn the_page_speaks_the_visitors_language(#[case] path: &str, #[case] accepted: &str, #[case] expected: &str) {
    let stage = Stage::set().await;
    let request = stage.get(path).header(ASSERTION, stage.pass());
    let page = request.header(header::ACCEPT_LANGUAGE, accepted).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains(&format!(">{expected}<")));
}

#[tokio::test]
async fn a_chosen_language_is_remembered() {
    let stage = Stage::set().await;
    let answer = stage.signed_in("/?lang=ja").await;
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    let cookie = cookie.split(';').next().unwrap();
    let again = stage
        .get("/")
        .header(ASSERTION, stage.pass())
        .header(header::COOKIE, cookie);
    assert!(
        again
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("lang=\"ja\"")
    );
}

#[tokio::test]
async fn files_are_sent_once_and_confirmed_after_that() {
    let stage = Stage::set().await;
    let first = stage.signed_in("/app.js").await;
    assert_eq!(first.status(), StatusCode::OK);
    let tag = first.headers()[header::ETAG].clone();
    let again = stage
        .get("/app.js")
        .header(ASSERTION, stage.pass())
        .header(header::IF_NONE_MATCH, tag);
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn an_unknown_path_is_a_page_for_people_and_a_status_for_programs() {
    let stage = Stage::set().await;
    let request = stage.get("/no/such/path").header(ASSERTION, stage.pass());
    let page = request.header(header::ACCEPT, "text/html").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    assert!(page.text().await.unwrap().contains("leads nowhere"));
    assert_eq!(stage.signed_in("/nothing.css").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_upload_is_counted_and_digested_as_it_streams() {
    let stage = Stage::set().await;
    let megabyte = vec![b'a'; 1_000_000];
    let upload = |body: Vec<u8>| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("http://{}/upload", stage.addr));
        request.header(ASSERTION, stage.pass()).body(body).send()
    };
    let receipt: Value = upload(megabyte).await.unwrap().json().await.unwrap();
    assert_eq!(receipt["bytes"], 1_000_000);
    // FIPS 180 gives this digest for a million times the letter a.
    assert_eq!(
        receipt["sha256"],
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    );
    let receipt: Value = upload(Vec::new()).await.unwrap().json().await.unwrap();
    assert_eq!(receipt["bytes"], 0);
}

#[tokio::test]
async fn the_call_log_streams_and_resumes_where_a_page_left_off() {
    let stage = Stage::set().await;
    let mut answer = stage.signed_in("/events").await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut text = String::new();
    while !text.contains("id: 8\n") {
        let chunk = timeout(DEADLINE, answer.chunk()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.contains("id: 1\nevent: call\ndata: {"));

    let request = stage
        .get("/events")
        .header(ASSERTION, stage.pass())
        .header("last-event-id", "6");
    let mut answer = request.send().await.unwrap();
    let mut text = String::new();
    while !text.contains("id: 8\n") {
        let chunk = timeout(DEADLINE, answer.chunk()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(!text.contains("id: 6\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_without_a_valid_assertion_or_from_another_site_is_refused() {
    let stage = Stage::set().await;
    let pass = stage.pass();
    assert_eq!(stage.socket(&[]).err(), Some(StatusCode::UNAUTHORIZED));
    assert_eq!(
        stage.socket(&[(ASSERTION, "a.b.c")]).err(),
        Some(StatusCode::UNAUTHORIZED)
    );
    let foreign = [(ASSERTION, pass.as_str()), ("sec-fetch-site", "cross-site")];
    assert_eq!(stage.socket(&foreign).err(), Some(StatusCode::FORBIDDEN));
    let own = [(ASSERTION, pass.as_str()), ("sec-fetch-site", "same-origin")];
    assert!(stage.socket(&own).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_reaches_the_other_persons_page() {
    let stage = Stage::set().await;
    let mut hanako = stage.page("1001", "Hanako");
    let mut taro = stage.page("1002", "Taro");
    let seen = hanako.until(|message| message["person"]["ext"] == "1002");
    assert_eq!(seen["person"]["real"], true);

    hanako.say(&json!({"type": "dial", "to": "1002"}));
    assert_eq!(taro.until_call("incoming")["peer"]["name"], "Hanako");
    taro.say(&json!({"type": "answer"}));
    assert_eq!(hanako.until_call("connected")["peer"]["ext"], "1002");
    drop(taro);
    assert_eq!(hanako.until_call("ended")["reason"], "hung_up");
    hanako.until(|message| message["type"] == "gone" && message["ext"] == "1002");
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_changes_by_itself_and_by_choice() {
    let stage = Stage::set().await;
    let mut page = stage.page("1001", "Hanako");
    page.say(&json!({"type": "status", "status": "away"}));
    page.until(|message| message["person"]["ext"] == "1001" && message["person"]["status"] == "away");
    page.until(|message| message["type"] == "presence" && message["person"]["real"] == false);
    page.say(&json!({"type": "echo", "at": 12.5}));
    assert_eq!(page.until(|message| message["type"] == "echo")["at"], 12.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_speaks_nonsense_is_closed_and_all_are_closed_on_stop() {
    let stage = Stage::set().await;
    let mut odd = stage.page("1001", "Hanako");
    odd.say(&json!({"type": "reboot"}));
    assert_eq!(u16::from(odd.until_closed().unwrap().code), 1008);

    let mut page = stage.page("1002", "Taro");
    stage.stop.cancel();
    assert_eq!(u16::from(page.until_closed().unwrap().code), 1001);
}

#[test]
fn both_languages_say_the_same_things() {
    let texts = |text| serde_json::from_str::<std::collections::BTreeMap<String, String>>(text).unwrap();
    let (en, ja) = (
        texts(include_str!("static/en.json")),
        texts(include_str!("static/ja.json")),
    );
    assert_eq!(en.keys().collect::<Vec<_>>(), ja.keys().collect::<Vec<_>>());
    let places = |text: &str| text.matches('{').count();
    for (key, text) in &en {
        assert!(!text.is_empty() && !ja[key].is_empty(), "{key}");
        assert_eq!(places(text), places(&ja[key]), "{key}");
    }
}
