//! The verifiers of `docs/verify`, each as a real process, against one list of what must be accepted and what refused.

use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey};
use parking_lot::Mutex;
use rcgen::KeyPair;
use rstest::rstest;
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::harness::{ASSERTION, House, OUT, eventually, now, soon};

const AUDIENCE: &str = "sekisho-upstream";
/// How often a verifier asks for the keys at most.
const PAUSE: Duration = Duration::from_secs(5);
const INSTALL: &str = "packaging/install-packages test installs it";

/// A verifier by its language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Rust,
    Python,
    Node,
    Go,
    Nginx,
}

/// How one is set up.
struct Setup<'a> {
    jwks_url: &'a str,
    /// Seconds after which the keys are fetched again.
    keep: u32,
    /// The file of an authority to trust.
    trusted: Option<&'a Path>,
}

/// A verifier that listens.
struct Verifier {
    process: Child,
    address: SocketAddr,
    client: reqwest::Client,
    /// Where it works; goes last.
    _home: TempDir,
}

impl Drop for Verifier {
    fn drop(&mut self) {
        // In order, so that nginx ends its worker.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify").join(name)
}

impl Language {
    async fn start(self, setup: &Setup<'_>) -> Verifier {
        let home = tempfile::Builder::new().prefix("sekisho-verify-").tempdir().unwrap();
        let (mut command, known) = match self {
            Self::Nginx => {
                let address = free_address().await;
                (nginx(home.path(), setup, address), Some(address))
            }
            _ => (self.command(home.path()).await, None),
        };
        command
            .current_dir(home.path())
            .env("JWKS_URL", setup.jwks_url)
            .env("ISSUER", format!("https://{OUT}"))
            .env("AUDIENCE", AUDIENCE)
            .env("KEYS_KEEP", setup.keep.to_string())
            .env("PORT", "0")
            .stdout(Stdio::piped());
        if let Some(trusted) = setup.trusted {
            command
                .env("SSL_CERT_FILE", trusted)
                .env("NODE_EXTRA_CA_CERTS", trusted);
        }
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("{self:?}: {error}; {INSTALL}"));
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = match known {
            Some(address) => address,
            None => said_address(lines).await,
        };
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        let mut verifier = Verifier {
            process,
            address,
            client,
            _home: home,
        };
        eventually(&format!("{self:?} to listen"), async || {
            let ended = verifier.process.try_wait().unwrap();
            assert!(ended.is_none(), "{self:?} ended with {ended:?}");
            tokio::net::TcpStream::connect(address).await.ok()
        })
        .await;
        verifier
    }

    async fn command(self, home: &Path) -> Command {
        match self {
            Self::Rust => {
                // Built with the tests, beside them.
                let own = std::env::current_exe().unwrap();
                Command::new(own.parent().unwrap().with_file_name("examples").join("verify"))
            }
            Self::Python => {
                // The system's, whose packages the system installs; another may come first in PATH.
                let mut command = Command::new("/usr/bin/python3");
                command.arg(document("verify.py")).env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            Self::Node => {
                let mut command = Command::new("node");
                command.arg(document("verify.mjs"));
                command
            }
            Self::Go => {
                let binary = home.join("verify");
                let mut build = Command::new("go");
                build.args(["build", "-o"]).arg(&binary).arg(document("verify.go"));
                build
                    .env("GOCACHE", home.join("cache"))
                    .env("GOFLAGS", "")
                    .current_dir(home);
                let built = tokio::task::spawn_blocking(move || build.status()).await.unwrap();
                assert!(built.unwrap_or_else(|error| panic!("go: {error}; {INSTALL}")).success());
                Command::new(binary)
            }
            Self::Nginx => unreachable!("nginx takes its settings from a file"),
        }
    }
}

/// nginx with the files as documented, but for the values that everybody changes.
fn nginx(home: &Path, setup: &Setup<'_>, address: SocketAddr) -> Command {
    let module = "/usr/lib/nginx/modules/ngx_http_js_module.so";
    assert!(Path::new(module).exists(), "{module} is missing; {INSTALL}");
    // Its workers run as another user when it is started as root.
    fs::set_permissions(home, fs::Permissions::from_mode(0o755)).unwrap();
    let home = home.display();
    let system_authorities = "/etc/ssl/certs/ca-certificates.crt";
    let trusted = setup
        .trusted
        .map_or(system_authorities.to_owned(), |path| path.display().to_string());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {home}/{kind};\n"))
        .concat();
    let mut conf = fs::read_to_string(document("nginx.conf")).unwrap();
    for (from, to) in [
        ("modules/ngx_http_js_module.so", module.to_owned()),
        (
            "https://phone.example.com/.well-known/sekisho/jwks.json",
            setup.jwks_url.to_owned(),
        ),
        ("\"https://phone.example.com\"", format!("\"https://{OUT}\"")),
        ("127.0.0.1:5000", address.to_string()),
        ("200 5m;", format!("200 {}s;", setup.keep)),
        (system_authorities, trusted),
        ("http {\n", format!("http {{\n    access_log off;\n{temporary}")),
    ] {
        assert!(conf.contains(from), "{from} is in nginx.conf");
        conf = conf.replace(from, &to);
    }
    let file = format!("{home}/nginx.conf");
    fs::write(&file, conf).unwrap();
    fs::copy(document("nginx.js"), format!("{home}/nginx.js")).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.args([
        "-p",
        &format!("{home}/"),
        "-c",
        &file,
        "-e",
        &format!("{home}/error.log"),
    ]);
    command.args([
        "-g",
        &format!("daemon off; pid {home}/pid; error_log {home}/error.log;"),
    ]);
    command
}

/// nginx cannot say which port the system gave it, so one is found first.
async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn said_address(mut lines: std::io::Lines<impl BufRead + Send + 'static>) -> SocketAddr {
    let said = tokio::task::spawn_blocking(move || {
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.strip_prefix("listening on ")
                .map(|address| address.parse().unwrap())
        });
        // What it says later is read as well, so that its pipe never fills.
        std::thread::spawn(move || lines.for_each(drop));
        address
    });
    soon("the verifier to say where it listens", said)
        .await
        .unwrap()
        .expect("it says where it listens")
}

impl Verifier {
    async fn answer(&self, tokens: &[&str]) -> (StatusCode, String) {
        let mut request = self.client.get(format!("http://{}/", self.address));
        for token in tokens {
            request = request.header(ASSERTION, *token);
        }
        let answer = soon("an answer", request.send()).await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn accepts(&self, token: &str) -> bool {
        let (status, body) = self.answer(&[token]).await;
        assert!(
            status == StatusCode::OK || status == StatusCode::UNAUTHORIZED,
            "{status}: {body}"
        );
        status == StatusCode::OK
    }
}

/// What the test publishes as the gateway's keys, and how often it was asked.
struct Publisher {
    url: String,
    state: Arc<Mutex<Published>>,
    _task: AbortOnDropHandle<()>,
}

struct Published {
    answer: Answer,
    /// What lies where a redirection leads.
    elsewhere: Value,
    asked: usize,
    followed: usize,
}

enum Answer {
    Keys(Value),
    Broken,
    Redirect,
}

impl Publisher {
    async fn open(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Published {
            answer,
            elsewhere: Value::Null,
            asked: 0,
            followed: 0,
        }));
        let router = Router::new().fallback(publish).with_state(Arc::clone(&state));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            state,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn answers(&self, answer: Answer) {
        self.state.lock().answer = answer;
    }

    fn asked(&self) -> usize {
        self.state.lock().asked
    }
}

async fn publish(State(state): State<Arc<Mutex<Published>>>, uri: Uri) -> Response {
    let mut state = state.lock();
    if uri.path() == "/elsewhere" {
        state.followed += 1;
        return json_of(&state.elsewhere);
    }
    state.asked += 1;
    match &state.answer {
        Answer::Keys(keys) => json_of(keys),
        Answer::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Answer::Redirect => (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response(),
    }
}

fn json_of(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// A key of the test's own, which signs whatever it is given.
struct Key {
    kid: &'static str,
    private: EncodingKey,
    jwk: Value,
}

impl Key {
    fn new(kid: &'static str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let jwk = serde_json::to_value(jwk).unwrap();
        Self { kid, private: key, jwk }
    }

    fn set(&self) -> Answer {
        Answer::Keys(json!({ "keys": [self.jwk] }))
    }

    fn sign(&self, head: &Value, claims: &Value) -> String {
        use base64::Engine;
        let [head, claims] =
            [head, claims].map(|part| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{head}.{claims}");
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.private, Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }

    fn head(&self) -> Value {
        json!({ "typ": "JWT", "alg": "ES256", "kid": self.kid })
    }

    /// A token with changed claims; those that are null are left out.
    fn with(&self, changes: &Value) -> String {
        self.sign(&self.head(), &merged(claims(), changes))
    }

    /// A token with a changed header.
    fn headed(&self, changes: &Value) -> String {
        self.sign(&merged(self.head(), changes), &claims())
    }

    fn good(&self) -> String {
        self.with(&json!({}))
    }
}

fn claims() -> Value {
    let at = now().as_second();
    json!({
        "iss": format!("https://{OUT}"), "aud": AUDIENCE, "sub": "somebody", "sid": "s", "jti": "j",
        "iat": at, "nbf": at, "exp": at + 60, "auth_time": at, "amr": ["pwd"],
        "ext": "101", "name": "田中 ゆき", "groups": ["営業"],
    })
}

fn merged(mut object: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

/// The keys of a gateway: two, so that one can be taken for the other.
async fn published_by(house: &House) -> Vec<Value> {
    house.gateway.cli(&["key", "rotate"]).await.succeeded();
    let visitor = house.visitor();
    eventually("two keys to be published", async || {
        let answer = visitor.fetch("/.well-known/sekisho/jwks.json").await;
        let keys = answer.json()["keys"].as_array().unwrap().clone();
        (keys.len() == 2).then_some(keys)
    })
    .await
}

#[rstest]
#[case::rust(Language::Rust)]
#[case::python(Language::Python)]
#[case::node(Language::Node)]
#[case::go(Language::Go)]
#[case::nginx(Language::Nginx)]
#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_accepts_what_is_right_and_nothing_else(#[case] language: Language) {
    let house = House::open().await;
    let own = Key::new("own");
    let mut keys = published_by(&house).await;
    keys.push(own.jwk.clone());
    let publisher = Publisher::open(Answer::Keys(json!({ "keys": keys }))).await;
    let setup = Setup {
        jwks_url: &publisher.url,
        keep: 300,
        trusted: None,
    };
    let verifier = language.start(&setup).await;

    let url = format!("http://{}", verifier.address);
    let ran = house.gateway.cli(&["upstream", "verify", &url, "--json"]).await;
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:#?}"));
    for row in report["rows"].as_array().unwrap() {
        let wanted = if row["genuine"] == true { "accepted" } else { "refused" };
        assert_eq!(row["verdict"], wanted, "{language:?}: {row:#}");
    }
    assert_eq!(ran.code, Some(0));

    judges_claims_and_head(language, &verifier, &own).await;
}

async fn judges_claims_and_head(language: Language, verifier: &Verifier, own: &Key) {
    assert_eq!(
        verifier.answer(&[&own.good()]).await,
        (StatusCode::OK, "somebody".to_owned())
    );
    assert_eq!(
        verifier.answer(&[&own.good(), &own.good()]).await.0,
        StatusCode::UNAUTHORIZED
    );
    let at = now().as_second();
    for fine in [
        json!({ "aud": ["other", AUDIENCE] }),
        json!({ "exp": at - 2, "nbf": at - 60 }),
        json!({ "nbf": at + 3 }),
        json!({ "new": { "claim": [1] }, "ext": null, "name": null }),
    ] {
        assert!(verifier.accepts(&own.with(&fine)).await, "{language:?}: {fine}");
    }
    for wrong in [
        json!({ "exp": null }),
        json!({ "nbf": null }),
        json!({ "iss": null }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": 7 }),
        json!({ "exp": "soon" }),
        json!({ "nbf": [] }),
        json!({ "exp": at - 10 }),
        json!({ "nbf": at + 20, "exp": at + 60 }),
        json!({ "aud": ["other"] }),
        json!({ "aud": [] }),
        json!({ "aud": { AUDIENCE: true } }),
        json!({ "aud": "SEKISHO-UPSTREAM" }),
        json!({ "iss": format!("https://{OUT}/") }),
        json!({ "iss": { "x": 1 } }),
    ] {
        assert!(!verifier.accepts(&own.with(&wrong)).await, "{language:?}: {wrong}");
    }
    for wrong in [
        json!({ "kid": null }),
        json!({ "kid": 7 }),
        json!({ "kid": "__proto__" }),
        json!({ "typ": null }),
        json!({ "typ": "JOSE" }),
        json!({ "alg": "ES384" }),
        json!({ "alg": null }),
        json!({ "crit": ["b64"], "b64": false }),
    ] {
        assert!(!verifier.accepts(&own.headed(&wrong)).await, "{language:?}: {wrong}");
    }
    let list = own.sign(&json!([own.head()]), &claims());
    let no_claims = own.sign(&own.head(), &json!("claims"));
    for wrong in [list, no_claims, format!("{}.x", own.good())] {
        assert!(!verifier.accepts(&wrong).await, "{language:?}: {wrong}");
    }
}

#[rstest]
#[case::rust(Language::Rust)]
#[case::python(Language::Python)]
#[case::node(Language::Node)]
#[case::go(Language::Go)]
#[case::nginx(Language::Nginx)]
#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_follows_a_rotation_asks_seldom_and_bears_an_outage(#[case] language: Language) {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let (old, new, strange) = (Key::new("old"), Key::new("new"), Key::new("strange"));
    let publisher = Publisher::open(Answer::Redirect).await;
    publisher.state.lock().elsewhere = json!({ "keys": [strange.jwk] });
    let setup = Setup {
        jwks_url: &publisher.url,
        keep: 1,
        trusted: None,
    };
    let verifier = language.start(&setup).await;

    // Keys come from the address that was configured, and from nowhere it points to.
    assert!(!verifier.accepts(&strange.good()).await);
    assert!(!verifier.accepts(&old.good()).await);
    assert_eq!(publisher.state.lock().followed, 0, "{language:?} follows a redirection");
    publisher.answers(old.set());
    eventually("the keys to be fetched at last", async || {
        verifier.accepts(&old.good()).await.then_some(())
    })
    .await;

    // Whatever strangers make up, the gateway is not asked for each.
    let (started, before) = (Instant::now(), publisher.asked());
    for _ in 0..50 {
        assert!(!verifier.accepts(&strange.good()).await);
    }
    publisher.answers(Answer::Keys(json!({ "keys": [old.jwk, new.jwk] })));
    eventually("the new key to be known", async || {
        verifier.accepts(&new.good()).await.then_some(())
    })
    .await;
    let seconds = started.elapsed().as_secs();
    let most = match language {
        // Its cache has two places that ask on their own: one when the keys are due, one for what is unknown.
        Language::Nginx => 2 + seconds + seconds / PAUSE.as_secs(),
        _ => 1 + seconds / PAUSE.as_secs(),
    };
    let asked = publisher.asked() - before;
    assert!(
        asked <= usize::try_from(most).unwrap(),
        "{language:?}: {asked} > {most}"
    );

    // The keys are due again, and cannot be fetched: those that are known go on.
    publisher.answers(Answer::Broken);
    let before = publisher.asked();
    eventually("the keys to be asked for in vain", async || {
        assert!(verifier.accepts(&new.good()).await, "{language:?} forgets its keys");
        (publisher.asked() > before).then_some(())
    })
    .await;
    for _ in 0..3 {
        assert!(verifier.accepts(&old.good()).await, "{language:?} forgets its keys");
    }
}

#[rstest]
#[case::rust(Language::Rust)]
#[case::python(Language::Python)]
#[case::node(Language::Node)]
#[case::go(Language::Go)]
#[case::nginx(Language::Nginx)]
#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_takes_keys_only_from_a_server_it_trusts(#[case] language: Language) {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let own = Key::new("own");
    let home = TempDir::new().unwrap();
    let (url, authority, _task) = publish_under_tls(home.path(), json!({ "keys": [own.jwk] }).to_string()).await;
    for trusted in [None, Some(authority.as_path())] {
        let setup = Setup {
            jwks_url: &url,
            keep: 300,
            trusted,
        };
        let verifier = language.start(&setup).await;
        assert_eq!(verifier.accepts(&own.good()).await, trusted.is_some(), "{language:?}");
    }
}

/// A key set at `https://localhost`, and the authority that vouches for that server.
async fn publish_under_tls(home: &Path, keys: String) -> (String, PathBuf, AbortOnDropHandle<()>) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer};

    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // OpenSSL takes a certificate whose issuer has its own name for one that vouches for itself.
    params
        .distinguished_name
        .push(DnType::CommonName, "Authority of a test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::from_params(&params, &authority_key))
        .unwrap();
    let file = home.join("authority.pem");
    fs::write(&file, authority.pem()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/jwks.json", listener.local_addr().unwrap().port());
    let task = tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (acceptor, keys) = (acceptor.clone(), keys.clone());
            tokio::spawn(async move {
                // Whoever does not trust the certificate hangs up.
                let Ok(stream) = acceptor.accept(socket).await else {
                    return;
                };
                let service = service_fn(move |_: http::Request<Incoming>| {
                    let response = http::Response::new(Full::new(Bytes::from(keys.clone())));
                    async { Ok::<_, Infallible>(response) }
                });
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (url, file, AbortOnDropHandle::new(task))
}
