//! A new configuration under a running gateway: taken up as a whole without anybody noticing, or refused with every reason.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use http::Method;
use http_body_util::BodyExt;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::gateway::Ran;
use crate::harness::{House, SESSION, Upstream, eventually, soon};

impl House {
    /// Lays this over the file and has it taken up.
    async fn reload(&self, overrides: &str) -> Ran {
        self.gateway.configure(overrides);
        self.gateway.cli(&["reload"]).await
    }

    fn said(&self, words: &str) -> bool {
        self.gateway.printed().contains(words)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_up_what_it_can_and_names_what_waits_for_a_restart() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let other = Upstream::open().await;
    assert_eq!(visitor.fetch("/reserved/x").await.status, 200);
    let reached = house.upstream.count();

    let theme = house.gateway.home().join("theme/text");
    fs::create_dir_all(&theme).unwrap();
    fs::write(theme.join("en.ftl"), "login-title = Come in, please\n").unwrap();
    let ran = house
        .reload(&format!(
            r#"
            [access]
            rules = ["deny /reserved/*"]
            [upstream]
            url = "http://{}"
            [branding]
            theme = {:?}
            [mail]
            from = "another@phone.example"
            [sessions]
            per_account = 1
            [server]
            max_connections = 999
            "#,
            other.address(),
            theme.parent().unwrap().to_str().unwrap(),
        ))
        .await;
    let out = ran.succeeded();
    let line = |key: &str| {
        out.lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_else(|| panic!("{key}: {out}"))
    };
    assert!(
        line("access.rules: ").ends_with("[] -> [\"deny /reserved/*\"]"),
        "{out}"
    );
    assert!(
        line("server.max_connections: ").contains("waits for a restart: "),
        "{out}"
    );
    for key in ["upstream.url", "branding.theme", "mail.from", "sessions.per_account"] {
        assert!(!line(key).contains("restart"), "{out}");
    }

    assert_eq!(visitor.fetch("/reserved/x").await.status, 403);
    assert_eq!(visitor.fetch("/x").await.status, 200);
    assert_eq!((house.upstream.count(), other.count()), (reached, 1));
    let page = house.visitor().get("/login").await.text();
    assert!(page.contains("<h1>Come in, please</h1>"), "{page}");
    let email = house.invite("102", &[]).await;
    let letter = house.mailbox.next(&email).await;
    assert_eq!(letter.from, "another@phone.example");
    let second = house.signed_in(&person).await;
    eventually("the one session of the account to be the second", async || {
        (second.passes().await && !visitor.passes().await).then_some(())
    })
    .await;

    let event = house.event("config.taken-up", None).await;
    assert_eq!(event["actor"], "operator", "{event}");
    let detail = event["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("command: ") && detail.contains("access.rules"),
        "{detail}"
    );
    assert!(!detail.contains("server.max_connections"), "{detail}");

    // What waits is said until the restart, and nothing else is said twice.
    let again = house.gateway.cli(&["reload"]).await.succeeded();
    assert_eq!(again.lines().count(), 2, "{again}");
    assert!(again.starts_with("server.max_connections: 10000 -> 999"), "{again}");
    house.gateway.restart().await;
    let calm = house.gateway.cli(&["reload"]).await.succeeded();
    assert_eq!(calm, "The configuration is in force; no key in it has changed.\n");
    assert!(house.said("waits for a restart"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_as_much_as_the_level_in_force_admits() {
    let house = House::open().await;
    let visitor = house.visitor();
    for (level, path) in [("error", "/quietly"), ("info", "/aloud")] {
        house.reload(&format!("[log]\nlevel = {level:?}")).await.succeeded();
        visitor.fetch(path).await;
    }
    eventually("the second request in the log", async || {
        house.said("/aloud").then_some(())
    })
    .await;
    assert!(!house.said("/quietly"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_and_a_signal_are_enough() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let theme = house.gateway.home().join("theme/text");
    fs::create_dir_all(&theme).unwrap();
    fs::write(theme.join("en.ftl"), "login-title = One\n").unwrap();
    let named = theme.parent().unwrap().to_str().unwrap().to_owned();
    let title = async |words: &str| {
        let heading = format!("<h1>{words}</h1>");
        eventually(&heading, async || {
            let page = house.visitor().get("/login").await.text();
            page.contains(&heading).then_some(())
        })
        .await;
    };
    house.gateway.configure(&format!("[branding]\ntheme = {named:?}"));
    title("One").await;
    assert_eq!(house.event("config.taken-up", None).await["actor"], "gateway");
    // A file in the place of another, as editors and deployments do it.
    fs::write(theme.parent().unwrap().join(".new"), "login-title = Two\n").unwrap();
    fs::rename(theme.parent().unwrap().join(".new"), theme.join("en.ftl")).unwrap();
    title("Two").await;
    // A mistake in it changes nothing, and its mending is seen.
    fs::write(theme.join("en.ftl"), "login-titel = Three\n").unwrap();
    house.event("config.refused", Some("file: 1")).await;
    assert!(house.said("there is no message login-titel"));
    title("Two").await;
    fs::write(theme.join("en.ftl"), "login-title = Three\n").unwrap();
    title("Three").await;

    house.gateway.configure("[access]\nrules = [\"deny /reserved/*\"]");
    house.gateway.signal("HUP");
    eventually("the rule", async || {
        (visitor.fetch("/reserved/x").await.status == 403).then_some(())
    })
    .await;
    house.event("config.taken-up", Some("signal: access.rules")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_under_traffic_fail_no_request_and_end_no_stream() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let caller = house.signed_in(&person).await;
    let mut call = caller.websocket("/ws").await.unwrap();
    let mut events = caller
        .script(Method::GET, "/events")
        .header("accept", "text/event-stream")
        .open()
        .await
        .into_body();
    soon("the stream to open", events.frame()).await.unwrap().unwrap();

    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut traffic = Vec::new();
    for number in 0..4 {
        let mut visitor = house.visitor();
        if number % 2 == 1 {
            visitor = visitor.over_http2();
        }
        visitor.set_cookie(SESSION, caller.cookie(SESSION).as_deref());
        let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
        traffic.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(visitor.fetch("/x").await.status, 200);
                assert_eq!(visitor.get("/.sekisho/account").await.status, 200);
                answered.fetch_add(2, Ordering::Relaxed);
            }
        }));
    }
    let mut held = None;
    for round in 1..=100 {
        // Each of the first has an upstream of its own, whose idle connections stay for a minute.
        let seconds = 10 + round.min(20);
        let ran = house
            .reload(&format!(
                "[upstream]\nresponse_timeout = \"{seconds}s\"\n[branding]\nname = \"Phone {round}\"\n\
                 [mail]\ntimeout = \"{seconds}s\"\n[access]\nrules = [\"deny /{round}/*\"]"
            ))
            .await;
        assert!(ran.succeeded().contains("access.rules"));
        assert_eq!(caller.fetch(&format!("/{round}/x")).await.status, 403);
        if round == 20 {
            held = Some(house.gateway.holds());
        }
    }
    over.store(true, Ordering::Relaxed);
    for visitor in traffic {
        visitor.await.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > 100, "{answered:?}");

    call.send(Message::text("still there")).await.unwrap();
    let heard = soon("the echo", call.next()).await.unwrap().unwrap();
    assert_eq!(heard, Message::text("still there"));
    house.upstream.emit("still here");
    let event = soon("the event", events.frame()).await.unwrap().unwrap();
    assert_eq!(event.into_data().unwrap().as_ref(), b"data: still here\n\n");
    assert!(house.visitor().get("/login").await.text().contains("Phone 100"));

    // Eighty configurations later it holds no more files and threads than before: the old ones are gone.
    let (files, threads) = held.unwrap();
    eventually("what the old configurations held to be let go", async || {
        let (now, threads_now) = house.gateway.holds();
        (now <= files + 20 && threads_now <= threads + 20).then_some(())
    })
    .await;
    assert!(house.gateway.stop().await.success());
    assert!(!house.gateway.home().join("store/control.sock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cookie_of_a_former_name_stays_away_from_the_web_client() {
    let house = House::with("[access]\npublic = [\"/open\"]\n[sessions]\ncookie = \"__Host-first\"").await;
    let person = house.welcome("101").await;
    let visitor = house.visitor();
    assert!(visitor.sign_in(&person.extension, &person.password).await.is_done());
    let token = visitor.cookie("__Host-first").unwrap();
    for name in ["__Host-second", "__Host-third"] {
        house
            .reload(&format!("[sessions]\ncookie = {name:?}"))
            .await
            .succeeded();
        for held in ["__Host-first", "__Host-second", SESSION] {
            let held = format!("{held}={token}; theirs=1");
            let asking = visitor.script(Method::GET, "/open").without_cookies();
            assert_eq!(asking.header("cookie", &held).send().await.status, 200);
            assert_eq!(
                house.upstream.last().header("cookie"),
                Some("theirs=1"),
                "{name}: {held}"
            );
        }
    }
}

/// Each is one mistake, and a word of what is said about it.
const BROKEN: [(&str, &str); 33] = [
    ("[doors]\nin_office = \"http://in.test\"", "doors.in_office"),
    (
        "[doors]\nout_of_office = \"https://user:secret-of-the-operator@out.test\"",
        "doors.out_of_office",
    ),
    ("[server]\nlisten = []", "server.listen"),
    ("[server]\ntrusted_proxies = [\"0.0.0.0/0\"]", "server.trusted_proxies"),
    ("[server]\nmax_connections = 0", "server.max_connections"),
    ("[server]\nmax_header_bytes = \"1 B\"", "server.max_header_bytes"),
    ("[server]\ntls_key = \"nowhere.key\"", "server.tls_key"),
    ("[server]\nno_such_key = 1", "no_such_key"),
    ("[upstream]\nurl = \"ftp://127.0.0.1\"", "upstream.url"),
    ("[upstream]\nca_file = \"nowhere.pem\"", "upstream.ca_file"),
    ("[upstream]\nconnect_timeout = 5", "upstream.connect_timeout"),
    ("[mail]\nfrom = \"nobody\"", "mail.from"),
    ("[mail]\nsmtp_host = \"a b\"", "mail.smtp_host"),
    ("[mail]\nsecurity = \"perhaps\"", "mail.security"),
    ("[mail]\nrate = \"often\"", "mail.rate"),
    ("[routes]\nlogin = \"login\"", "routes.login"),
    ("[access]\nrules = [\"open /x\"]", "access.rules"),
    ("[access]\npublic = [\"x\"]", "access.public"),
    ("[sessions]\nidle = \"400d\"\nabsolute = \"1d\"", "sessions.idle"),
    ("[sessions]\ncookie = \"sekisho\"", "sessions.cookie"),
    ("[passwords]\nblocklist = [\"nowhere.filter\"]", "passwords.blocklist"),
    ("[passwords.hashing]\nmemory = \"1 KiB\"", "passwords.hashing.memory"),
    ("[links]\nreset = \"never\"", "links.reset"),
    ("[assertion]\nheader = \"Cookie\"", "assertion.header"),
    ("[assertion]\nlife = \"1h\"", "assertion.life"),
    ("[limits]\nmail_per_client = \"0 per 1h\"", "limits.mail_per_client"),
    (
        "[limits]\nsign_in_per_client = \"5 per 1h\"",
        "limits.sign_in_per_client: it is now the rule sign-in.client of the policy file",
    ),
    ("[limits]\npolicy = \"nowhere.toml\"", "nowhere.toml does not exist"),
    (
        "[[rule]]\nname = \"sign-in.client\"\nquota = \"often\"",
        "rule sign-in.client, quota: \"often\"",
    ),
    ("[branding]\nlogo = \"nowhere.svg\"", "branding.logo"),
    ("[branding]\ntheme = \"nowhere\"", "branding.theme"),
    ("[sites.wiki]\npath = \"/wiki\"", "sites.wiki.upstream"),
    ("[no_such_section]\nx = 1", "no_such_section"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_is_refused_with_its_reason_and_the_old_one_serves_on() {
    let house = House::with("[access]\nrules = [\"deny /reserved/*\"]").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let good = fs::read_to_string(house.gateway.config()).unwrap();
    let policy = fs::read_to_string(house.gateway.policy()).unwrap();
    for (broken, words) in BROKEN {
        fs::write(house.gateway.config(), &good).unwrap();
        fs::write(house.gateway.policy(), &policy).unwrap();
        house.gateway.configure("access.rules = []");
        let ran = house.reload(broken).await;
        assert_eq!(ran.code, Some(1), "{broken}: {ran:?}");
        assert!(ran.err.contains(words), "{broken}: {ran:?}");
        assert!(!ran.err.contains("secret-of-the-operator"), "{ran:?}");
        assert_eq!(visitor.fetch("/reserved/x").await.status, 403, "{broken}");
        assert_eq!(visitor.fetch("/x").await.status, 200, "{broken}");
    }
    fs::write(house.gateway.policy(), &policy).unwrap();
    fs::write(house.gateway.config(), format!("{good}\n[server\n")).unwrap();
    let line = format!("sekisho.toml:{}: ", good.lines().count() + 2);
    let ran = house.gateway.cli(&["reload"]).await;
    assert!(ran.code == Some(1) && ran.err.contains(&line), "{line}: {ran:?}");
    house.gateway.signal("HUP");
    eventually("the refusal in the log", async || {
        house.said("\"cause\":\"signal\"").then_some(())
    })
    .await;
    assert!(house.said("wrong in the new configuration"));
    fs::write(house.gateway.config(), &good).unwrap();
    house.event("config.refused", Some("signal: 1")).await;

    // Everything that is wrong is said at once.
    let ran = house
        .reload("[server]\ntls_key = \"nowhere.key\"\n[branding]\nlogo = \"nowhere.svg\"\ntheme = \"nowhere\"")
        .await;
    let errors = ran.err.lines().filter(|line| line.starts_with("error: ")).count();
    assert!(errors >= 3, "{ran:?}");

    fs::write(house.gateway.config(), &good).unwrap();
    house.gateway.cli(&["reload"]).await.succeeded();
    assert_eq!(visitor.fetch("/reserved/x").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reaches_the_gateway_of_this_configuration_and_no_other() {
    let house = House::open().await;
    let other = house.gateway.home().join("other.toml");
    fs::copy(house.gateway.config(), &other).unwrap();
    let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    elsewhere.args(["reload", "--config"]).arg(&other).env_clear();
    let ran = house.gateway.run(elsewhere).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("was started with") && ran.err.contains("other.toml"),
        "{ran:?}"
    );

    let socket = house.gateway.home().join("store/control.sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner alone");
    house.gateway.kill();
    assert!(socket.exists(), "a power cut tidies nothing up");
    let refused = house.gateway.cli(&["reload"]).await.failed();
    assert!(refused.contains("no gateway is running on the store in"), "{refused}");
    house.gateway.start().await;
    house.gateway.cli(&["reload"]).await.succeeded();

    let elsewhere = house.gateway.home().join("elsewhere");
    house.gateway.configure(&format!("[store]\ndirectory = {elsewhere:?}"));
    let refused = house.gateway.cli(&["reload"]).await.failed();
    assert!(refused.contains("until its restart"), "{refused}");
}
