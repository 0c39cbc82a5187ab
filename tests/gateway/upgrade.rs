//! A new program takes the place of the running one: nobody notices, or nothing has changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{House, SESSION, Visitor, eventually, quotas, soon};
use crate::metrics::ask;

/// Upgrades in a row under traffic; more by hand.
fn rounds() -> usize {
    let told = std::env::var("SEKISHO_TEST_UPGRADES");
    told.map_or(3, |told| told.parse().expect("a number of upgrades"))
}

/// A program that is none: what lies in the place of the new one.
const BROKEN: [(&str, &str); 3] = [
    ("exit 7", "ended at its start"),
    ("exit 0", "ended before it was ready"),
    ("exec sleep 600", "was not ready in time"),
];

impl House {
    /// Where the program lies that the next upgrade starts.
    fn program(&self) -> PathBuf {
        self.gateway.home().join("bin/sekisho")
    }

    /// A program in the place of the one that was started.
    fn install(&self, program: Program) {
        let (place, draft) = (self.program(), self.program().with_extension("new"));
        match program {
            Program::Sound => symlink(env!("CARGO_BIN_EXE_sekisho"), &draft).unwrap(),
            Program::Script(text) => {
                fs::write(&draft, format!("#!/bin/sh\n{text}\n")).unwrap();
                fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        fs::rename(draft, place).unwrap();
    }

    /// Running from a place of its own, where other programs can be put.
    async fn installed(overrides: &str) -> Self {
        let house = Self::closed(overrides).await;
        house.start_installed(|_| ()).await;
        house
    }

    async fn start_installed(&self, prepare: impl FnOnce(&mut Command)) {
        fs::create_dir_all(self.program().parent().unwrap()).unwrap();
        self.install(Program::Sound);
        let mut command = Command::new(self.program());
        command.args(["serve", "--config"]).arg(self.gateway.config());
        command.current_dir(self.gateway.home()).env_clear();
        prepare(&mut command);
        self.gateway.start_by(command).await;
    }

    /// An upgrade that succeeds: the process before, and the one that serves now.
    async fn upgraded(&self) -> (u32, u32) {
        let before = self.gateway.pid();
        self.gateway.upgrade().await.succeeded();
        let now = self.gateway.pid();
        assert_ne!(before, now);
        (before, now)
    }

    async fn gone(&self, process: u32) {
        eventually("the old process to end", async || {
            (!self.gateway.is_running(process)).then_some(())
        })
        .await;
    }
}

#[derive(Clone, Copy)]
enum Program {
    Sound,
    Script(&'static str),
}

/// A call and an event stream.
struct Open {
    call: WebSocketStream<TlsStream<TcpStream>>,
    events: Incoming,
}

impl Open {
    async fn by(visitor: &Visitor) -> Self {
        let call = visitor.websocket("/ws").await.unwrap();
        let asking = visitor.script(Method::GET, "/events").without("accept");
        let asking = asking.header("accept", "text/event-stream");
        let mut events = asking.open().await.into_body();
        soon("the stream to open", events.frame()).await.unwrap().unwrap();
        Self { call, events }
    }

    async fn goes_on(&mut self, house: &House, words: &str) {
        self.call.send(Message::text(words)).await.unwrap();
        let heard = soon("the echo", self.call.next()).await.unwrap().unwrap();
        assert_eq!(heard, Message::text(words));
        house.upstream.emit(words);
        let event = soon("the event", self.events.frame()).await.unwrap().unwrap();
        assert_eq!(event.into_data().unwrap(), format!("data: {words}\n\n"));
    }

    /// Reads both to their ends; the close code of the call.
    async fn ended(mut self) -> Option<u16> {
        let code = async {
            while let Some(Ok(message)) = self.call.next().await {
                if let Message::Close(frame) = message {
                    return frame.map(|frame| u16::from(frame.code));
                }
            }
            None
        };
        let over = async { while let Some(Ok(_)) = self.events.frame().await {} };
        soon("both streams to end", async { tokio::join!(code, over) }).await.0
    }
}

/// People who ask for one thing after another, and expect an answer each time.
struct Traffic {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    people: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Half of them by HTTP/2, on connections that stay open, and one on a new connection each time.
    fn begin(house: &House, caller: &Visitor) -> Self {
        let mut traffic = Self {
            over: Arc::default(),
            answered: Arc::default(),
            failed: Arc::default(),
            people: Vec::new(),
        };
        for number in 0..5 {
            let mut visitor = house.visitor();
            if number % 2 == 1 {
                visitor = visitor.over_http2();
            }
            visitor.set_cookie(SESSION, caller.cookie(SESSION).as_deref());
            let (over, answered, failed) = (
                Arc::clone(&traffic.over),
                Arc::clone(&traffic.answered),
                Arc::clone(&traffic.failed),
            );
            traffic.people.push(tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    if number == 4 {
                        visitor.hang_up();
                    }
                    for asking in [
                        visitor.script(Method::GET, "/x"),
                        visitor.script(Method::POST, "/x").body("content"),
                        visitor.navigate("/.sekisho/account"),
                    ] {
                        match asking.try_send().await {
                            Ok(answer) if answer.status == 200 => drop(answered.fetch_add(1, Ordering::Relaxed)),
                            Ok(answer) => failed.lock().push(format!("{number}: {answer:?}")),
                            Err(error) => failed.lock().push(format!("{number}: {error:?}")),
                        }
                    }
                }
            }));
        }
        traffic
    }

    async fn more(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually("more answers", async || {
            (self.answered.load(Ordering::Relaxed) > before + 30).then_some(())
        })
        .await;
    }

    /// How many were answered; all of them.
    async fn end(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        for person in self.people {
            person.await.unwrap();
        }
        let failed = self.failed.lock();
        assert!(failed.is_empty(), "{} failed: {:#?}", failed.len(), failed.first());
        self.answered.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_under_traffic_fail_no_request_and_end_no_stream() {
    let house = House::installed("").await;
    let person = house.welcome("101").await;
    let caller = house.signed_in(&person).await;
    let traffic = Traffic::begin(&house, &caller);
    traffic.more().await;
    let (mut calls, mut before) = (Vec::new(), Vec::new());
    for round in 0..rounds() {
        calls.push(Open::by(&caller).await);
        let (script, complaint) = BROKEN[round % BROKEN.len()];
        house.install(Program::Script(script));
        let serving = house.gateway.pid();
        let ran = house.gateway.upgrade().await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.err.contains(complaint) && ran.err.contains("the old one serves on"),
            "{ran:?}"
        );
        assert_eq!(house.gateway.pid(), serving);
        traffic.more().await;

        house.install(Program::Sound);
        before.push(house.upgraded().await.0);
        traffic.more().await;
        let words = format!("round {round}");
        for open in &mut calls {
            // Events reach every stream; each reads its own.
            open.call.send(Message::text(words.clone())).await.unwrap();
            let heard = soon("the echo", open.call.next()).await.unwrap().unwrap();
            assert_eq!(heard, Message::text(words.clone()));
        }
    }
    let answered = traffic.end().await;
    println!("{answered} requests answered in {} upgrades, none failed", rounds());
    for process in &before {
        assert!(house.gateway.is_running(*process), "it has calls");
    }
    house
        .gateway
        .cli(&["session", "end", "--account", "101"])
        .await
        .succeeded();
    for open in calls {
        assert_eq!(open.ended().await, Some(4401));
    }
    // Connections that keep open without a request are closed by their visitors.
    drop(caller);
    for process in before {
        house.gone(process).await;
    }
    let letters: Vec<serde_json::Value> = house.gateway.cli_json(&["mail", "list", "--json"]).await;
    assert!(
        letters.iter().all(|letter| letter["status"] == "delivered"),
        "{letters:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_in_the_old_process_end_with_their_session_wherever_it_is_ended() {
    let house = House::installed("").await;
    let (stayer, leaver, banned) = (
        house.welcome("101").await,
        house.welcome("102").await,
        house.welcome("103").await,
    );
    let visitors = [
        house.signed_in(&stayer).await,
        house.signed_in(&leaver).await,
        house.signed_in(&banned).await,
    ];
    let mut open = Vec::new();
    for visitor in &visitors {
        open.push(Open::by(visitor).await);
    }
    let (old, _) = house.upgraded().await;
    let (ban, leave, mut stay) = (open.remove(2), open.remove(1), open.remove(0));
    // In the new process, and by a command.
    assert!(visitors[1].post_json("/logout", &json!({})).await.is_done());
    assert_eq!(leave.ended().await, Some(4401));
    house.gateway.cli(&["account", "disable", "103"]).await.succeeded();
    assert_eq!(ban.ended().await, Some(4401));
    stay.goes_on(&house, "still there").await;
    assert!(house.gateway.is_running(old));
    // A stop of the service asks every process of it.
    ask_to_stop(old);
    assert_eq!(stay.ended().await, Some(1012));
    house.gone(old).await;
    assert_eq!(visitors[0].fetch("/x").await.status, 200);
}

/// When the process began that shows its metrics.
async fn began_at(house: &House) -> f64 {
    let (status, text) = ask(house.gateway.metrics(), "GET", "/metrics", "localhost").await;
    assert_eq!(status, 200);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("process_start_time_seconds "));
    line.unwrap().parse().unwrap()
}

fn ask_to_stop(process: u32) {
    let process = nix::unistd::Pid::from_raw(process.cast_signed());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_the_old_process_end_when_their_time_is_over() {
    let house = House::installed("[server]\nupgrade_timeout = \"1s\"").await;
    let person = house.welcome("101").await;
    let caller = house.signed_in(&person).await;
    let open = Open::by(&caller).await;
    let (old, _) = house.upgraded().await;
    assert_eq!(open.ended().await, Some(1012));
    house.gone(old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_limits_have_counted_is_counted_on() {
    let house = House::installed(&quotas(&[("sign-in.client+account", "3 per 1h")])).await;
    house.welcome("101").await;
    let guess = async || house.visitor().sign_in("101", "a wrong guess of 2").await.status;
    for _ in 0..3 {
        assert_eq!(guess().await, 401);
    }
    assert_eq!(guess().await, 429);
    house.upgraded().await;
    assert_eq!(guess().await, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_process_alone_sends_letters_and_answers_its_operator() {
    let house = House::installed("").await;
    let person = house.welcome("101").await;
    let caller = house.signed_in(&person).await;
    let mut open = Open::by(&caller).await;
    let (shown, began) = (house.gateway.metrics(), began_at(&house).await);
    let (old, new) = house.upgraded().await;

    // While both run, every letter is sent once.
    for number in 200..220 {
        house.invite(&number.to_string(), &[]).await;
    }
    for number in 200..220 {
        house.mailbox.next(&format!("p{number}@example.com")).await;
    }
    let letters: Vec<serde_json::Value> = house
        .gateway
        .cli_json(&["mail", "list", "--most", "100", "--json"])
        .await;
    assert_eq!(letters.len(), 21);
    assert_eq!(house.mailbox.letters().len(), letters.len());
    open.goes_on(&house, "meanwhile").await;
    assert!(house.gateway.is_running(old));

    let ran = house.gateway.cli(&["reload"]).await.succeeded();
    assert!(ran.contains("in force"), "{ran}");
    assert_eq!(house.gateway.metrics(), shown);
    let (old_began, began) = (began, began_at(&house).await);
    assert!(began > old_began, "the new process shows how it is");
    let still = began_at(&house).await;
    assert!((still - began).abs() < f64::EPSILON, "and nobody else does");
    // Nobody else gets the store while one of them holds it.
    ask_to_stop(new);
    eventually("the new process to end", async || {
        (!house.gateway.is_running(new)).then_some(())
    })
    .await;
    let refused = house.gateway.cli(&["serve"]).await.failed();
    assert!(refused.contains("another server"), "{refused}");
    drop((open, caller));
    house.gone(old).await;
}

/// What the new process says about the configuration that it finds, and what it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_the_new_process_cannot_use_leaves_the_old_one_in_place_and_one_that_it_can_is_taken_up() {
    let house = House::installed("").await;
    let person = house.welcome("101").await;
    let caller = house.signed_in(&person).await;
    house.gateway.configure("[server]\ntls_key = \"/nowhere/tls.key\"");
    let refused = house.gateway.upgrade().await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.err.contains("/nowhere/tls.key"),
        "the reason of the new program: {refused:?}"
    );
    assert_eq!(caller.fetch("/x").await.status, 200);
    let email = house.invite("102", &[]).await;
    house.mailbox.next(&email).await;

    let (home, place) = (house.gateway.home().display(), house.gateway.home().join("web.sock"));
    house.gateway.configure(&format!(
        "[server]\ntls_key = \"{home}/tls.key\"\nmax_connections = 999\nlisten = [\"127.0.0.1:0\", \"unix:{}\"]",
        place.display()
    ));
    house.upgraded().await;
    assert_eq!(caller.fetch("/x").await.status, 200, "at the same port");
    UnixStream::connect(&place).unwrap();
    let calm = house.gateway.cli(&["reload"]).await.succeeded();
    assert_eq!(calm, "The configuration is in force; no key in it has changed.\n");
    caller.hang_up();
    let (old, new) = house.upgraded().await;
    house.gone(old).await;
    UnixStream::connect(&place).unwrap();
    house.gateway.configure(&format!(
        "[server]\ntls_key = \"{home}/tls.key\"\nlisten = [\"127.0.0.1:0\"]"
    ));
    let (before, after) = house.upgraded().await;
    assert_eq!(before, new);
    house.gone(before).await;
    assert!(!place.exists(), "a socket that is listened on no more leaves no file");
    ask_to_stop(after);
    house.gone(after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_that_fails_late_leaves_every_socket_to_the_old_one() {
    let house = House::closed("").await;
    let (home, place) = (house.gateway.home(), house.gateway.home().join("web.sock"));
    house.gateway.configure(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\", \"unix:{}\"]",
        place.display()
    ));
    house.start_installed(|_| ()).await;
    // It listens before it looks at the theme.
    let theme = home.join("theme");
    fs::create_dir_all(theme.join("pages")).unwrap();
    fs::write(theme.join("pages/login.html"), "{% if %}").unwrap();
    house
        .gateway
        .configure(&format!("[branding]\ntheme = \"{}\"", theme.display()));
    let refused = house.gateway.upgrade().await;
    assert!(refused.err.contains("pages/login.html: syntax error"), "{refused:?}");
    assert_eq!(house.event("upgrade.failed", None).await["actor"], "operator");
    UnixStream::connect(&place).unwrap();
    fs::remove_dir_all(theme.join("pages")).unwrap();
    let (old, new) = house.upgraded().await;
    house.event("upgrade.done", Some(env!("CARGO_PKG_VERSION"))).await;
    house.gone(old).await;
    UnixStream::connect(&place).unwrap();
    ask_to_stop(new);
    house.gone(new).await;
    assert!(!place.exists());
}

/// Says that it could serve, and then nothing any more.
const NEVER_READY: &str = r#"
say() { printf "\\000\\000\\000\\$(printf %03o ${#1})%s" "$1" >&0; }
say "{\"here\":{\"process\":$$}}"
say '"prepared"'
echo $$ > draft && mv draft prepared
exec sleep 600"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_an_upgrade_waits_for_no_new_program_and_leaves_none_behind() {
    let house = House::installed("").await;
    house.install(Program::Script(NEVER_READY));
    let stopping = async {
        let prepared = house.gateway.home().join("prepared");
        let new = eventually("the new program", async || fs::read_to_string(&prepared).ok()).await;
        house.gateway.signal("TERM");
        new.trim().parse().unwrap()
    };
    let (upgrade, new) = tokio::join!(house.gateway.upgrade(), stopping);
    assert!(upgrade.err.contains("the gateway stops"), "{upgrade:?}");
    let ended = eventually("the old program to end", async || house.gateway.ended()).await;
    assert!(ended.success());
    assert!(!house.gateway.is_running(new));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_which_process_is_the_gateway() {
    let house = House::closed("").await;
    let place = house.gateway.home().join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    house
        .start_installed(|command| {
            command.env("NOTIFY_SOCKET", &place).env("WATCHDOG_USEC", "900000");
        })
        .await;
    let (old, new) = house.upgraded().await;
    house.gone(old).await;
    ask_to_stop(new);
    house.gone(new).await;
    manager.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    let mut words = [0; 512];
    while let Ok(length) = manager.recv(&mut words) {
        heard.push(String::from_utf8(words[..length].to_vec()).unwrap());
    }
    let main = |words: &String| {
        let pid = words.lines().find_map(|line| line.strip_prefix("MAINPID="))?;
        pid.parse::<u32>().ok()
    };
    assert_eq!(heard.iter().filter_map(main).collect::<Vec<_>>(), [old, new]);
    let stops = heard.iter().filter(|words| words.starts_with("STOPPING=1")).count();
    assert_eq!(stops, 1, "the old process has not stopped the service: {heard:?}");
    assert!(heard.iter().any(|words| words == "WATCHDOG=1"));
}
