//! Those who keep their proxy: nginx and Caddy with the files of `docs/forward-auth` ask the gateway about each request
//! and forward it themselves; Traefik and Envoy by the requests that they send.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};

use futures_util::{SinkExt, StreamExt};
use http::Method;
use rstest::rstest;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::harness::gateway::NOTICED;
use crate::harness::{ASSERTION, House, IN, OUT, PASSWORD, SESSION, Visitor, eventually, soon, within};
use crate::proxying::{jwks, verify};

const INSTALL: &str = "packaging/install-packages test installs it";

/// Every proxy is this machine.
const ASKING: &str = r#"
    [server]
    trusted_proxies = ["127.0.0.1/32"]
    [forward_auth]
    proxies = ["127.0.0.1/32"]
    [access]
    rules = ["groups admins /admin/*", "public /office/* from 203.0.113.0/24"]
    public = ["/assets/*"]
    cross_origin = ["https://app.example.com /api/* with preflight"]
"#;

/// Names that the gateway never lets a client use, and some ways to spell them.
const CLAIMS: &[&str] = &[
    ASSERTION,
    "x_sekisho_assertion",
    "x_sekisho-assertion",
    "x.sekisho.assertion",
    "remote-user",
    "remote-name",
    "remote-email",
    "remote-groups",
    "remote_user",
    "remote.user",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-forwarded-user",
    "x-forwarded-by",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x_forwarded_user",
    "x-remote-user",
    "x-remote-name",
    "x-remote-email",
    "x-remote-groups",
    "x-authenticated-user",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x_auth_request_user",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "x-real-ip",
    "x_real_ip",
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x_original_url",
    "x-rewrite-url",
    "script_name",
    "x-script-name",
    "x_script_name",
    "path_info",
    "daphne-root-path",
    "proxy",
    "x-webauth-user",
    "x-webauth-name",
    "x-webauth-email",
    "x-webauth-groups",
    "x-webauth-role",
    "proxy-client-ip",
    "x-original-host",
    "x-envoy-original-path",
    "client-cert",
    "client-cert-chain",
    "proxy-auth-cert",
    "ssl-client-cert",
    "ssl-client-i-dn",
    "ssl-client-issuer-dn",
    "ssl-client-s-dn",
    "ssl-client-subject-dn",
    "ssl-client-verify",
    "x-arr-clientcert",
    "x-amzn-mtls-clientcert",
    "x-amzn-mtls-clientcert-leaf",
    "x-amzn-mtls-clientcert-subject",
    "x-client-cert",
    "x-client-certificate",
    "x-client-dn",
    "x-client-verify",
    "x-ssl-cert",
    "x-ssl-client-cert",
    "x-ssl-client-cn",
    "x-ssl-client-dn",
    "x-ssl-client-i-dn",
    "x-ssl-client-issuer",
    "x-ssl-client-s-dn",
    "x-ssl-client-subject",
    "x-ssl-client-verify",
    "script-name",
    "path-info",
    "x_webauth_user",
    "x-auth-request-preferred-username",
    "wl-proxy-client-cert",
    "$wsru",
];

/// A proxy from Debian.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Nginx,
    Caddy,
}

/// One that runs.
struct Proxy {
    process: Child,
    address: SocketAddr,
    /// Where it works; goes last.
    home: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let ended = self.process.try_wait().is_ok_and(|ended| ended.is_some());
        if !ended {
            // In order, so that nginx ends its workers.
            let _ = Command::new("kill").arg(self.process.id().to_string()).status();
            let _ = self.process.wait();
        }
        if ended || std::thread::panicking() {
            let logs = ["error.log", "log", "stderr"].map(|name| fs::read_to_string(self.home.path().join(name)));
            let said: String = logs.into_iter().flatten().collect();
            eprintln!("---- the proxy's words:\n{said}----");
        }
    }
}

/// A gateway that is asked, and a proxy that asks it.
struct Town {
    house: House,
    proxy: Proxy,
}

impl Town {
    async fn open(kind: Kind) -> Self {
        Self::with(kind, "").await
    }

    /// With more in the gateway's configuration.
    async fn with(kind: Kind, overrides: &str) -> Self {
        let house = House::closed(ASKING).await;
        house.gateway.configure(overrides);
        house.gateway.start().await;
        let proxy = Proxy::start(kind, &house).await;
        Self { house, proxy }
    }

    fn visitor(&self) -> Visitor {
        self.house.visitor().through(self.proxy.address)
    }

    async fn signed_in(&self, extension: &str) -> Visitor {
        let person = self.house.welcome(extension).await;
        let visitor = self.visitor();
        let answer = visitor.sign_in(&person.extension, &person.password).await;
        assert!(answer.is_done(), "{answer:?}");
        visitor
    }
}

impl Proxy {
    /// With the file as documented, but for the values that everybody changes.
    async fn start(kind: Kind, house: &House) -> Self {
        // Neither can say which port the system gave it, so one is found first; another program may take it meanwhile.
        for _ in 0..3 {
            if let Some(proxy) = Self::listening(kind, house).await {
                return proxy;
            }
        }
        panic!("{kind:?} ends instead of listening");
    }

    async fn listening(kind: Kind, house: &House) -> Option<Self> {
        let home = tempfile::Builder::new().prefix("sekisho-proxy-").tempdir().unwrap();
        // The workers of nginx run as another user when it is started as root.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut command = match kind {
            Kind::Nginx => nginx(home.path(), house, free),
            Kind::Caddy => caddy(home.path(), house, free),
        };
        let process = command
            .current_dir(home.path())
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?}: {error}; {INSTALL}"));
        let mut proxy = Self {
            process,
            address: free,
            home,
        };
        let listens = eventually(&format!("{kind:?} to listen"), async || {
            if proxy.process.try_wait().unwrap().is_some() {
                return Some(false);
            }
            TcpStream::connect(free).await.ok().map(|_| true)
        })
        .await;
        listens.then_some(proxy)
    }
}

/// The documented file with these pieces changed, each of which must be there.
fn documented(name: &str, changes: &[(&str, String)]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/forward-auth")
        .join(name);
    let mut text = fs::read_to_string(file).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is in {name}");
        text = text.replace(from, to);
    }
    text
}

fn nginx(home: &Path, house: &House, listen: SocketAddr) -> Command {
    let certificates = house.gateway.home().display();
    let here = home.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {here}/{kind};\n"))
        .concat();
    let conf = documented(
        "nginx.conf",
        &[
            ("http {\n", format!("http {{\n    access_log off;\n{temporary}")),
            ("worker_processes auto", "worker_processes 1".to_owned()),
            ("127.0.0.1:8443", house.gateway.address().lock().to_string()),
            ("127.0.0.1:5000", house.upstream.address().to_string()),
            ("listen 443", format!("listen {listen}")),
            ("phone.office.example.com phone.example.com", format!("{IN} {OUT}")),
            ("/etc/sekisho/tls/fullchain.pem", format!("{certificates}/tls.pem")),
            ("/etc/sekisho/tls/privkey.pem", format!("{certificates}/tls.key")),
            ("/etc/ssl/certs/ca-certificates.crt", format!("{certificates}/ca.pem")),
            ("proxy_ssl_name phone.example.com", format!("proxy_ssl_name {OUT}")),
        ],
    );
    let file = format!("{here}/nginx.conf");
    fs::write(&file, conf).unwrap();
    let log = format!("{here}/error.log");
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-p", &format!("{here}/"), "-c", &file, "-e", &log]);
    command.args(["-g", &format!("daemon off; pid {here}/pid; error_log {log};")]);
    command
}

fn caddy(home: &Path, house: &House, listen: SocketAddr) -> Command {
    let certificates = house.gateway.home().display();
    let (here, port) = (home.display(), listen.port());
    let conf = documented(
        "Caddyfile",
        &[
            (
                "(sekisho) {\n",
                format!(
                    "{{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n\tlog {{\n\t\toutput \
                     file {here}/log\n\t}}\n}}\n\n(sekisho) {{\n"
                ),
            ),
            ("127.0.0.1:8443", house.gateway.address().lock().to_string()),
            ("127.0.0.1:5000", house.upstream.address().to_string()),
            ("phone.office.example.com:443", format!("{IN}:{port}")),
            ("phone.example.com:443", format!("{OUT}:{port}")),
            ("/etc/sekisho/tls/fullchain.pem", format!("{certificates}/tls.pem")),
            ("/etc/sekisho/tls/privkey.pem", format!("{certificates}/tls.key")),
            ("/etc/ssl/certs/ca-certificates.crt", format!("{certificates}/ca.pem")),
            ("tls_server_name phone.example.com", format!("tls_server_name {OUT}")),
        ],
    );
    let file = format!("{here}/Caddyfile");
    fs::write(&file, conf).unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config", &file]);
    command
        .env("HOME", home)
        .env("XDG_DATA_HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .stderr(fs::File::create(home.join("stderr")).unwrap());
    command
}

#[rstest]
#[case::nginx(Kind::Nginx)]
#[case::caddy(Kind::Caddy)]
#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_through_the_proxy_and_the_web_client_gets_the_statement(#[case] kind: Kind) {
    let town = Town::open(kind).await;
    let person = town.house.welcome("101").await;
    let visitor = town.visitor();
    let before = town.house.upstream.count();
    let sent = visitor.get("/a?b=c").await;
    assert_eq!(sent.status, 303, "{sent:?}");
    let location = sent.location();
    let login = location.strip_prefix("https://in.test").unwrap_or(location).to_owned();
    assert_eq!(login, "/login?return_to=%2Fa%3Fb%3Dc");
    let refused = visitor.fetch("/a").await;
    refused.is_problem(401, "sign-in-required");
    assert!(
        refused.json()["login_url"].as_str().unwrap().ends_with("/login"),
        "{refused:?}"
    );
    assert!(refused.header(ASSERTION).is_none());
    assert_eq!(town.house.upstream.count(), before);

    let signed_in = visitor
        .post_form(&login, &[("login", &person.extension), ("password", PASSWORD)])
        .await;
    assert_eq!(signed_in.location(), "/a?b=c", "{signed_in:?}");
    let answer = visitor.get("/a?b=c").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = town.house.upstream.last();
    assert_eq!((received.method.as_str(), &*received.target), ("GET", "/a?b=c"));
    assert_eq!(
        received.header("x-request-id"),
        None,
        "it did not come through the gateway"
    );
    let keys = jwks(&town.house).await;
    let claims = verify(received.assertion(), &keys, "https://out.test", "sekisho-upstream").unwrap();
    assert_eq!(claims["ext"], "101");

    visitor.set_cookie("theme", Some("dark"));
    visitor.set_cookie("__Secure-own", Some("1"));
    assert_eq!(visitor.fetch("/x").await.status, 200);
    let cookies = town
        .house
        .upstream
        .last()
        .header("cookie")
        .unwrap_or_default()
        .to_owned();
    assert!(
        cookies.contains("theme=dark") && cookies.contains("__Secure-own=1"),
        "{cookies}"
    );
    assert!(!cookies.contains(SESSION), "{cookies}");
    let posted = visitor.script(Method::POST, "/upload").body("0123456789").send().await;
    assert_eq!(posted.status, 200, "{posted:?}");
    let received = town.house.upstream.last();
    assert_eq!((received.method.as_str(), received.bytes), ("POST", 10));
    visitor.fetch("/admin/x").await.is_problem(403, "forbidden");
}

#[rstest]
#[case::nginx(Kind::Nginx)]
#[case::caddy(Kind::Caddy)]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_claims_is_stripped_and_changes_no_judgement(#[case] kind: Kind) {
    let town = Town::open(kind).await;
    let known = town.signed_in("101").await;
    let stranger = town.visitor();
    let who = [(&known, true), (&stranger, false)];
    // In two parts, or the head would have too many fields.
    for (claims, (visitor, signed_in)) in CLAIMS.chunks(60).flat_map(|claims| who.map(|who| (claims, who))) {
        let asking = visitor.script(Method::GET, "/assets/app.js");
        let asking = claims
            .iter()
            .fold(asking, |asking, name| asking.header(*name, "forged"));
        let answer = asking.send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let received = town.house.upstream.last();
        assert_eq!(received.target, "/assets/app.js");
        let forged: Vec<_> = received
            .headers
            .iter()
            .filter(|(_, value)| value.to_str().unwrap().contains("forged"))
            .collect();
        assert!(forged.is_empty(), "{forged:?}");
        assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
        let named = received
            .headers
            .get_all(ASSERTION)
            .iter()
            .any(|value| !value.is_empty());
        assert_eq!(named, signed_in, "{:?}", received.headers);
    }

    let before = town.house.upstream.count();
    for (name, value) in [
        ("x-original-url", "https://in.test/assets/app.js"),
        ("x-original-method", "OPTIONS"),
        ("x-forwarded-uri", "/assets/app.js"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-forwarded-for", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7"),
    ] {
        for target in ["/x", "/office/x"] {
            let answer = stranger.script(Method::GET, target).header(name, value).send().await;
            assert!(matches!(answer.status, 400 | 401), "{name}: {answer:?}");
        }
    }
    assert_eq!(town.house.upstream.count(), before);
}

#[rstest]
#[case::nginx(Kind::Nginx)]
#[case::caddy(Kind::Caddy)]
#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_the_proxy_does_not_write_names_no_client(#[case] kind: Kind) {
    let town = Town::with(kind, "[server]\nforwarded_header = \"forwarded\"").await;
    let stranger = town.visitor();
    for target in ["/office/x", "/assets/app.js"] {
        let answer = stranger
            .script(Method::GET, target)
            .header("forwarded", "for=203.0.113.7")
            .send()
            .await;
        assert!(matches!(answer.status, 400 | 403), "{answer:?}");
    }
    assert_eq!(town.house.upstream.count(), 0);
    let own = stranger
        .ask(Method::GET, "/login")
        .header("forwarded", "for=203.0.113.7")
        .send()
        .await;
    assert_eq!(own.status, 200, "{own:?}");
    eventually("the page to be in the log", async || {
        let printed = town.house.gateway.printed();
        let line = printed.lines().find(|line| line.contains("\"path\":\"/login\""))?;
        assert!(line.contains("\"client\":\"127.0.0.1\""), "{line}");
        Some(())
    })
    .await;
}

#[rstest]
#[case::nginx(Kind::Nginx)]
#[case::caddy(Kind::Caddy)]
#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_judged_in_every_spelling_and_our_own_pages_stay_ours(#[case] kind: Kind) {
    let town = Town::open(kind).await;
    let visitor = town.signed_in("101").await;
    let before = town.house.upstream.count();
    for path in [
        "/admin/x",
        "//admin/x",
        "/Admin/x",
        "/%61dmin/x",
        "/%2561dmin/x",
        "/admin;v=1/x",
        "/admin%2Fx",
        "/x/../admin/x",
        "/x/%2e%2e/admin/x",
        "/assets/../admin/x",
    ] {
        let answer = visitor.fetch(path).await;
        assert!(matches!(answer.status, 400 | 403), "{path}: {answer:?}");
    }
    for path in ["/Login", "/login/", "//login", "/%6cogin", "/.Sekisho/session"] {
        let answer = visitor
            .script(Method::POST, path)
            .form(&[("password", PASSWORD)])
            .send()
            .await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    assert_eq!(town.house.upstream.count(), before);
    assert_eq!(visitor.fetch("/a%2Fb;c/D").await.status, 200);
    assert_eq!(town.house.upstream.last().target, "/a%2Fb;c/D", "as it was sent");
}

#[rstest]
#[case::nginx(Kind::Nginx)]
#[case::caddy(Kind::Caddy)]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_about_is_what_is_forwarded(#[case] kind: Kind) {
    let town = Town::open(kind).await;
    let visitor = town.signed_in("101").await;
    let cookie = format!("{SESSION}={}", visitor.session());
    let say = async |line: &str, host: &str| {
        let mut raw = visitor.raw().await;
        let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        assert!(raw.say(head).await);
        raw.hear().await.status()
    };
    let before = town.house.upstream.count();
    // A host that is not its own, Caddy answers itself.
    for (line, host) in [
        ("GET /x", "evil.test"),
        ("GET /x", ""),
        ("GET /assets/app.js?/../../admin/x#", "evil.test"),
    ] {
        say(line, host).await;
        assert_eq!(town.house.upstream.count(), before, "{line} {host}");
    }
    for (line, host) in [
        ("GET https://in.test/admin/x", IN),
        ("GET https://in.test/admin/x", "evil.test"),
        ("GET /admin/x#/assets/app.js", IN),
        ("GET /assets/app.js#/../../admin/x", IN),
        ("GET //admin/x?/assets/", IN),
        ("GET /assets/..;/admin/x", IN),
        ("GET /assets\\..\\admin/x", IN),
        ("GET /%2e%2e/admin/x", IN),
        ("GET /admin/x%00", IN),
        ("TRACE /x", IN),
        ("INVENTED /x", IN),
    ] {
        let status = say(line, host).await;
        assert!(
            status.is_some_and(|status| (400..500).contains(&status)),
            "{line} {host}: {status:?}"
        );
    }
    assert_eq!(town.house.upstream.count(), before);
    for target in [
        "//evil.test/x",
        "/a?next=https://evil.test/admin/x",
        "/a?x=/../admin",
        "/a;b=%5Bc%5D/%E9%96%A2",
    ] {
        assert_eq!(say(&format!("GET {target}"), IN).await, Some(200), "{target}");
        assert_eq!(town.house.upstream.last().target, target);
    }
    // Of two hosts nginx and Caddy each take one: the one that is asked about is the one that the web client is told.
    say("GET https://evil.test/two", IN).await;
    say("GET https://in.test/two", "evil.test").await;
    let received = town.house.upstream.received();
    for two in received.iter().filter(|received| received.target.contains("/two")) {
        assert_eq!(two.header("host"), Some(IN));
    }
    let away = town.visitor().get("//evil.test/x").await;
    assert_eq!(away.status, 303, "{away:?}");
    let location = away.location();
    assert_eq!(
        location.strip_prefix("https://in.test").unwrap_or(location),
        "/login",
        "nobody is led elsewhere"
    );
}

#[rstest]
#[case::nginx(Kind::Nginx)]
#[case::caddy(Kind::Caddy)]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_takes_nothing_away_and_switches_to_nothing_but_a_websocket(#[case] kind: Kind) {
    let town = Town::open(kind).await;
    let visitor = town.signed_in("101").await;
    let cookie = format!("{SESSION}={}", visitor.session());
    for (upgrade, connection) in [
        ("h2c", "Upgrade, HTTP2-Settings, X-Sekisho-Assertion"),
        (
            "websocket, h2c",
            "Upgrade, X-Forwarded-Method, X-Forwarded-Uri, X-Original-URL",
        ),
        ("", "close, X-Sekisho-Assertion, X-Sekisho-Cookies, X-Forwarded-For"),
    ] {
        let mut raw = visitor.raw().await;
        let head = format!(
            "GET /x HTTP/1.1\r\nHost: {IN}\r\nCookie: a=b; {cookie}\r\nUpgrade: {upgrade}\r\nConnection: \
             {connection}\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
        );
        assert!(raw.say(head).await);
        assert_eq!(raw.hear_one().await.status(), Some(200), "{upgrade} {connection}");
        let received = town.house.upstream.last();
        assert!(received.assertion().contains('.'), "{connection}: {received:?}");
        assert_eq!(received.header("cookie"), Some("a=b"), "{connection}");
        assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"), "{connection}");
        assert_eq!(received.header("upgrade").unwrap_or_default(), "", "{connection}");
    }
}

#[rstest]
#[case::nginx(Kind::Nginx)]
#[case::caddy(Kind::Caddy)]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_asks_through_the_proxy(#[case] kind: Kind) {
    let town = Town::open(kind).await;
    let visitor = town.signed_in("101").await;
    for path in [
        "/.sekisho/auth/nginx",
        "/.sekisho/auth/nginx/refusal",
        "/.sekisho/auth/traefik",
        "/.sekisho/auth/caddy",
        "/.sekisho/auth/envoy/x",
        "//.sekisho/auth/nginx",
        "/.sekisho//auth/nginx",
        "/.sekisho/%61uth/nginx",
        "/.Sekisho/Auth/nginx",
    ] {
        let answer = visitor
            .script(Method::GET, path)
            .header("x-original-url", "https://in.test/x")
            .header("x-original-method", "GET")
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-uri", "/x")
            .send()
            .await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        assert!(answer.header(ASSERTION).is_none(), "{path}: {answer:?}");
    }
}

#[rstest]
#[case::nginx(Kind::Nginx)]
#[case::caddy(Kind::Caddy)]
#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_is_refused_at_once_and_nothing_passes_without_the_gateway(#[case] kind: Kind) {
    let town = Town::open(kind).await;
    let (here, there) = (town.signed_in("101").await, town.signed_in("102").await);
    assert!(here.passes().await && there.passes().await);
    assert!(here.post_json("/logout", &json!({})).await.is_done());
    assert!(!here.passes().await);
    town.house.gateway.cli(&["account", "disable", "102"]).await.succeeded();
    within(NOTICED, "the session to be refused", async || {
        (!there.passes().await).then_some(())
    })
    .await;
    let before = town.house.upstream.count();
    assert!(town.house.gateway.stop().await.success());
    for target in ["/x", "/assets/app.js"] {
        let answer = there.fetch(target).await;
        assert!(matches!(answer.status, 500..=504), "{answer:?}");
    }
    assert_eq!(town.house.upstream.count(), before);
}

#[rstest]
#[case::nginx(Kind::Nginx)]
#[case::caddy(Kind::Caddy)]
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_passes_for_those_who_may_and_for_pages_of_the_door(#[case] kind: Kind) {
    let town = Town::open(kind).await;
    let visitor = town.signed_in("101").await;
    let mut call = visitor.websocket("/ws").await.unwrap();
    call.send(Message::text("hello")).await.unwrap();
    assert_eq!(call.next().await.unwrap().unwrap(), Message::text("hello"));
    assert!(town.house.upstream.last().header(ASSERTION).is_some());
    let before = town.house.upstream.count();
    for refused in [
        visitor.websocket_from("/ws", "https://evil.example").await,
        town.visitor().websocket("/ws").await,
    ] {
        let Err(tungstenite::Error::Http(answer)) = refused else {
            panic!("{refused:?}");
        };
        assert!(matches!(answer.status().as_u16(), 401 | 403), "{answer:?}");
    }
    assert_eq!(town.house.upstream.count(), before);
}

/// A question as a proxy sends it, byte for byte; the answer's head in lower case, and its body.
async fn ask(house: &House, line: &str, fields: &str) -> (u16, String, String) {
    let mut raw = house.visitor().raw().await;
    let fields = fields.trim().lines().map(str::trim).collect::<Vec<_>>().join("\r\n");
    assert!(raw.say(format!("{line} HTTP/1.1\r\n{fields}\r\n\r\n")).await);
    let heard = raw.hear_one().await;
    let status = heard.status().unwrap_or_else(|| panic!("no answer: {heard:?}"));
    let (head, body) = heard.text.split_once("\r\n\r\n").unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

/// The value of a field in a head.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut values = head
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let first = values.next();
    assert!(values.next().is_none(), "{name} came twice: {head}");
    first
}

/// What Traefik 3 sends: a GET without a body, the client's headers, and the request in `X-Forwarded-*`.
fn traefik(method: &str, uri: &str, cookie: &str, more: &str) -> String {
    format!(
        "Host: gate.internal:8443\nUser-Agent: browser\nAccept: text/html\nCookie: {cookie}\nAccept-Encoding: gzip\nX-Forwarded-For: \
         198.51.100.7\nX-Forwarded-Host: in.test\nX-Forwarded-Method: {method}\nX-Forwarded-Proto: https\nX-Forwarded-Uri: \
         {uri}\n{more}"
    )
}

/// What Envoy sends: method, host and length by itself, and the headers that the documented list allows.
fn envoy(cookie: &str, more: &str) -> String {
    format!(
        "host: in.test\ncontent-length: 0\naccept: */*\ncookie: {cookie}\nx-forwarded-proto: https\nx-forwarded-for: \
         198.51.100.7,127.0.0.1\nx-envoy-internal: true\n{more}"
    )
}

fn nginx_asks(method: &str, url: &str, cookie: &str, more: &str) -> String {
    format!(
        "Host: in.test\nX-Forwarded-For: 198.51.100.7\nX-Original-Method: {method}\nX-Original-URL: {url}\nAccept: \
         text/html\nCookie: {cookie}\n{more}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn traefik_is_answered_as_its_client_is_to_be() {
    let house = House::with(ASKING).await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let line = "GET /.sekisho/auth/traefik";
    // Traefik takes a path for one on the host it asked, so the address is whole.
    let (status, head, _) = ask(&house, line, &traefik("GET", "/a?b=c", "x=y", "")).await;
    assert_eq!(status, 303, "{head}");
    assert_eq!(
        field(&head, "location"),
        Some("https://in.test/login?return_to=%2fa%3fb%3dc")
    );
    let (status, head, body) = ask(&house, line, &traefik("POST", "/a", "x=y", "")).await;
    assert_eq!(status, 401, "{head}");
    assert_eq!(field(&head, "content-type"), Some("application/problem+json"));
    assert!(body.contains("login_url"), "{body}");

    let cookie = format!("a=b; {SESSION}={}; x=y", visitor.session());
    let (status, head, body) = ask(&house, line, &traefik("POST", "/a", &cookie, "")).await;
    assert_eq!((status, &*body), (200, ""), "{head}");
    assert_eq!(field(&head, "cookie"), Some("a=b; x=y"));
    let mut names: Vec<_> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    names.retain(|name| !["date", "connection", "strict-transport-security"].contains(name));
    assert_eq!(
        names,
        ["cache-control", "content-length", "cookie", ASSERTION],
        "{head}"
    );
    for (method, uri, more, expected) in [
        ("GET", "/admin/x", "", 403),
        ("GET", "/x/../admin/x", "", 400),
        ("GET", "/login", "", 404),
        ("GET", "//login", "", 404),
        ("TRACE", "/x", "", 405),
        ("GET", "/x", "X-Original-URL: https://in.test/y\n", 400),
        ("GET", "/x", "X-Forwarded-Uri: /x\n", 400),
        ("GET", "x", "", 400),
        ("GET", "https://in.test/x", "", 400),
        ("GET", "/x#/y", "", 400),
        ("GET", "//x/../admin", "", 400),
        ("GET", "//in.test/login", "", 200),
    ] {
        let (status, head, _) = ask(&house, line, &traefik(method, uri, &cookie, more)).await;
        assert_eq!(status, expected, "{method} {uri} {more}: {head}");
        assert_eq!(field(&head, ASSERTION).is_some(), expected == 200);
    }
    let (status, head, _) = ask(&house, line, &traefik("GET", "//evil.test/x", "x=y", "")).await;
    assert_eq!(
        (status, field(&head, "location")),
        (303, Some("https://in.test/login")),
        "nobody is led elsewhere"
    );
    let elsewhere = traefik("GET", "/x", &cookie, "").replace("in.test", "evil.test");
    let (status, head, _) = ask(&house, line, &elsewhere).await;
    assert_eq!(status, 421, "{head}");
    assert_eq!(field(&head, "location"), None);
    let insecure = traefik("GET", "/x", &cookie, "").replace("Proto: https", "Proto: http");
    assert_eq!(ask(&house, line, &insecure).await.0, 400);

    // What the gateway answers by itself with a success would be a yes to Traefik and Caddy.
    let preflight = "Origin: https://app.example.com\nAccess-Control-Request-Method: POST\n";
    for line in [line, "GET /.sekisho/auth/caddy"] {
        let asking = traefik("OPTIONS", "/api/x", "x=y", preflight);
        let (status, head, _) = ask(&house, line, &asking).await;
        assert_eq!((status, field(&head, ASSERTION)), (401, None), "{line}: {head}");
    }

    // Rules about networks speak of the client, not of the proxy.
    let office = traefik("GET", "/office/x", "x=y", "").replace("198.51.100.7", "203.0.113.7");
    let (status, head, _) = ask(&house, line, &office).await;
    assert_eq!((status, field(&head, ASSERTION)), (200, None), "{head}");
    assert_eq!(ask(&house, line, &traefik("GET", "/office/x", "x=y", "")).await.0, 303);
    let nowhere = traefik("GET", "/office/x", "x=y", "").replace("X-Forwarded-For: 198.51.100.7\n", "");
    assert_eq!(ask(&house, line, &nowhere).await.0, 400, "a client that nobody names");
    let nowhere = traefik("GET", "/office/x", "x=y", "").replace("198.51.100.7", "unknown");
    assert_eq!(ask(&house, line, &nowhere).await.0, 400, "nor what is no address");
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_is_told_what_to_take_off_the_request() {
    let house = House::with(ASKING).await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let cookie = format!("{SESSION}={}", visitor.session());
    let (status, head, _) = ask(&house, "DELETE /.sekisho/auth/envoy/a?b=c", &envoy(&cookie, "")).await;
    assert_eq!(status, 200, "{head}");
    assert!(field(&head, ASSERTION).is_some(), "{head}");
    assert_eq!(
        field(&head, "x-envoy-auth-headers-to-remove"),
        Some("remote-user, remote-name, remote-email, remote-groups, cookie")
    );
    let (status, head, _) = ask(&house, "GET /.sekisho/auth/envoy/assets/x", &envoy("a=b", "")).await;
    assert_eq!((status, field(&head, "cookie")), (200, Some("a=b")), "{head}");
    let removed = field(&head, "x-envoy-auth-headers-to-remove").unwrap();
    assert!(removed.contains(ASSERTION) && !removed.contains("cookie"), "{removed}");
    for (target, cookie, more, expected) in [
        ("/x", "x=y", "", 401),
        ("/x", "x=y", "sec-fetch-mode: navigate\nsec-fetch-dest: document\n", 303),
        ("/admin/x", &*cookie, "", 403),
        ("/../x", &*cookie, "", 400),
        ("/x", &*cookie, "x-forwarded-uri: /y\n", 400),
        // As HTTP/2 has a handshake: without a key.
        (
            "/x",
            &*cookie,
            "sec-websocket-version: 13\norigin: https://evil.example\n",
            403,
        ),
        ("/x", "x=y", "sec-websocket-version: 13\norigin: https://in.test\n", 401),
    ] {
        let line = format!("GET /.sekisho/auth/envoy{target}");
        let (status, head, _) = ask(&house, &line, &envoy(cookie, more)).await;
        assert_eq!(status, expected, "{target} {more}: {head}");
        assert_eq!(field(&head, ASSERTION), None);
    }
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_is_answered_in_the_three_words_it_knows() {
    let house = House::with(ASKING).await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let cookie = format!("{SESSION}={}", visitor.session());
    for (url, cookie, expected, second) in [
        ("https://in.test/x", "x=y", 401, 303),
        ("https://in.test/admin/x", &*cookie, 403, 403),
        ("https://in.test/x/../y", &*cookie, 403, 400),
        ("https://in.test/login", &*cookie, 403, 404),
        ("https://evil.test/x", &*cookie, 403, 421),
        ("http://in.test/x", &*cookie, 403, 400),
    ] {
        let fields = nginx_asks("GET", url, cookie, "");
        let (status, head, body) = ask(&house, "GET /.sekisho/auth/nginx", &fields).await;
        assert_eq!((status, &*body), (expected, ""), "{url}: {head}");
        let (status, head, _) = ask(&house, "GET /.sekisho/auth/nginx/refusal", &fields).await;
        assert_eq!(status, second, "{url}: {head}");
    }
    let fields = nginx_asks("GET", "https://in.test/x", &cookie, "");
    let (status, head, _) = ask(&house, "GET /.sekisho/auth/nginx", &fields).await;
    assert_eq!(status, 200, "{head}");
    assert!(field(&head, ASSERTION).is_some());
    // Refused a moment ago, and not now: what goes to the client has no assertion in it.
    let (status, head, _) = ask(&house, "GET /.sekisho/auth/nginx/refusal", &fields).await;
    assert_eq!((status, field(&head, ASSERTION)), (503, None), "{head}");
    // A body is nobody's business here.
    let with_body = format!("{fields}Content-Length: 4");
    let (status, head, _) = ask(&house, "PUT /.sekisho/auth/nginx", &format!("{with_body}\r\n\r\nbody")).await;
    assert_eq!(status, 200, "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_asks_learns_nothing() {
    let listed = "[server]\ntrusted_proxies = [\"127.0.0.9/32\"]\n[forward_auth]\nproxies = [\"127.0.0.9/32\"]";
    // Who is trusted about its clients and not listed stays a stranger, even as it names a listed one for its client.
    let trusted = listed.replace("[\"127.0.0.9/32\"]\n[f", "[\"127.0.0.0/24\"]\n[f");
    for overrides in ["", listed, &trusted] {
        let house = House::with(overrides).await;
        let person = house.welcome("101").await;
        let visitor = house.signed_in(&person).await;
        let cookie = format!("{SESSION}={}", visitor.session());
        let unknown = visitor.fetch("/.sekisho/nothing").await;
        assert_eq!(unknown.status, 404);
        for name in ["nginx", "nginx/refusal", "traefik", "caddy", "envoy/x"] {
            let line = format!("GET /.sekisho/auth/{name}");
            let fields = traefik(
                "GET",
                "/x",
                &cookie,
                "X-Original-Method: GET\nX-Original-URL: https://in.test/x\n",
            );
            let fields = fields
                .replace("gate.internal:8443", IN)
                .replace("198.51.100.7", "127.0.0.9");
            let (status, head, _) = ask(&house, &line, &fields).await;
            assert_eq!((status, field(&head, ASSERTION)), (404, None), "{head}");
            let answer = visitor.fetch(&format!("/.sekisho/auth/{name}")).await;
            answer.is_problem(404, "not-found");
            assert_eq!(
                answer.headers.keys().collect::<Vec<_>>(),
                unknown.headers.keys().collect::<Vec<_>>()
            );
        }
        // The headers by which a proxy repeats a request change nothing elsewhere.
        let elsewhere = visitor
            .script(Method::GET, "/x")
            .header("x-original-url", "https://in.test/y")
            .header("x-forwarded-uri", "/z")
            .send()
            .await;
        assert_eq!((elsewhere.status, &*house.upstream.last().target), (200, "/x"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_asks_must_be_trusted_about_its_client() {
    let house = House::closed("[forward_auth]\nproxies = [\"10.0.0.5/32\"]").await;
    let ran = house.gateway.cli(&["config", "check"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("server.trusted_proxies"), "{said}");
    house.gateway.configure("[server]\ntrusted_proxies = [\"10.0.0.0/24\"]");
    assert_eq!(house.gateway.cli(&["config", "check"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_ask_is_taken_up_by_a_reload() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let cookie = format!("{SESSION}={}", visitor.session());
    let fields = nginx_asks("GET", "https://in.test/x", &cookie, "");
    let line = "GET /.sekisho/auth/nginx";
    assert_eq!(ask(&house, line, &fields).await.0, 404);
    for (proxies, expected) in [("\"127.0.0.1/32\"", 200), ("", 404), ("\"127.0.0.1/32\"", 200)] {
        house.gateway.configure(&format!(
            "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n[forward_auth]\nproxies = [{proxies}]"
        ));
        let said = house.gateway.cli(&["reload"]).await.succeeded();
        assert!(
            said.contains("forward_auth.proxies: ") && !said.contains("restart"),
            "{said}"
        );
        let (status, head, _) = ask(&house, line, &fields).await;
        assert_eq!(
            (status, field(&head, ASSERTION).is_some()),
            (expected, expected == 200),
            "{head}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_on_this_machine_asks_by_a_unix_socket() {
    let house = House::closed(ASKING).await;
    let path = house.gateway.home().join("web.sock");
    house.gateway.configure(&format!(
        "[server]\nlisten = [\"unix:{}\", \"127.0.0.1:0\"]",
        path.display()
    ));
    house.gateway.start().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let cookie = format!("{SESSION}={}", visitor.session());
    let fields = nginx_asks("GET", "https://in.test/x", &cookie, "Connection: close\n").replace('\n', "\r\n");
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let head = format!("GET /.sekisho/auth/nginx HTTP/1.1\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    let answer = answer.to_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(field(&answer, ASSERTION).is_some(), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_token_is_refused_where_another_proxy_would_hand_it_on() {
    let house = House::with(&format!("{ASKING}\nbearer = [\"/hooks/*\"]")).await;
    let add = ["token", "add", "reports", "--scope", "/*", "--expires", "30d"];
    let token = house.gateway.cli(&add).await.succeeded();
    let line = "GET /.sekisho/auth/traefik";
    let with = |token: &str| format!("Authorization: Bearer {token}");
    for uri in ["/a", "/assets/app.js", "/hooks/x"] {
        let fields = traefik("GET", uri, "x=y", &with(token.trim_end()));
        let (status, head, body) = ask(&house, line, &fields).await;
        assert_eq!(status, 403, "{uri}: {head}{body}");
        assert!(
            body.contains("insufficient-scope") && field(&head, ASSERTION).is_none(),
            "{uri}: {head}{body}"
        );
    }
    let (status, head, _) = ask(&house, line, &traefik("GET", "/hooks/x", "x=y", &with("theirs"))).await;
    assert_eq!((status, field(&head, ASSERTION)), (200, None), "{head}");
    let (status, ..) = ask(&house, line, &traefik("POST", "/a", "x=y", &with("theirs"))).await;
    assert_eq!(status, 401);
}
