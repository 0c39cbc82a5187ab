//! Bans: who is kept out, before TLS where the address allows it; what strangers see of it, which is nothing; and that
//! nothing lifts one but its time and an operator.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use sekisho::crypto::entropy::OsEntropy;
use sekisho::crypto::secrets::SecretFiles;
use sekisho::domain::order::Target;
use sekisho::ports::Limiter;
use sekisho::store::{LimiterTerms, MemoryLimiter};

use crate::harness::{
    ASSERTION, Answer, House, IN, OTHER_PASSWORD, PASSWORD, SESSION, Visitor, eventually, quotas, soon, within,
};
use crate::listeners::introduced;
use crate::metrics::value;

/// One second is promised; the rest is for a machine that is busy with other tests.
const PROMISED: Duration = Duration::from_secs(3);

/// All visitors of a test come from this machine: the operator says that it is meant.
const MEANT: &str = "--danger-own-addresses";

/// A time that is told in the same words for half a minute.
const SPAN: &str = "2h 30m 30s";

/// A visitor from another address of this machine.
fn from(house: &House, address: &str) -> Visitor {
    Visitor::at(&house.gateway, IN).from(address)
}

async fn ban(house: &House, args: &[&str]) -> String {
    let args = [&["limits", "ban"], args].concat();
    house.gateway.cli(&args).await.succeeded()
}

async fn unban(house: &House, args: &[&str]) {
    let args = [&["limits", "unban"], args].concat();
    house.gateway.cli(&args).await.succeeded();
}

/// Whether somebody from there gets as far as TLS.
async fn is_heard(house: &House, address: &str) -> bool {
    let connecting = from(house, address);
    soon("a handshake to end", connecting.connect(&[b"http/1.1"]))
        .await
        .is_ok()
}

async fn is_kept_out(house: &House, address: &str) {
    let what = format!("{address} to be kept out");
    within(PROMISED, &what, async || {
        (!is_heard(house, address).await).then_some(())
    })
    .await;
}

async fn is_let_in(house: &House, address: &str) {
    let what = format!("{address} to be let in");
    within(PROMISED, &what, async || is_heard(house, address).await.then_some(())).await;
}

async fn guess(visitor: &Visitor, login: &str, password: &str) -> Answer {
    visitor
        .post_json("/login", &json!({"login": login, "password": password}))
        .await
}

/// Waits until the gateway has taken the newest order up, which its figures show.
async fn in_force(house: &House, kind: &str, count: f64) {
    let series = format!("sekisho_orders{{kind=\"{kind}\"}}");
    eventually(&format!("{series} to be {count}"), async || {
        (value(house, &series).await.to_bits() == count.to_bits()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_address_gets_no_handshake_within_a_second_until_it_is_lifted() {
    let house = House::with("[server]\nredirect_listen = [\"127.0.0.1:0\"]").await;
    assert!(is_heard(&house, "127.0.0.2").await);
    let said = ban(&house, &["127.0.0.2", "--for", SPAN, "--reason", "guessing", MEANT]).await;
    assert!(
        said.starts_with("127.0.0.2 is banned until ") && said.contains("2h 30m left"),
        "{said}"
    );
    is_kept_out(&house, "127.0.0.2").await;
    assert!(is_heard(&house, "127.0.0.1").await, "nobody else is");
    assert!(value(&house, "sekisho_connections_refused_total{reason=\"banned\"}").await >= 1.0);

    // Nothing is said on the way there either.
    let printed = house.gateway.said();
    let plain = printed
        .iter()
        .find_map(|line| line.strip_prefix("redirecting on "))
        .unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut socket = socket.connect(plain.parse().unwrap()).await.unwrap();
    let _ = socket.write_all(b"GET / HTTP/1.1\r\nHost: in.test\r\n\r\n").await;
    let mut heard = Vec::new();
    let _ = soon("the end", socket.read_to_end(&mut heard)).await;
    assert!(heard.is_empty(), "{}", String::from_utf8_lossy(&heard));

    unban(&house, &["127.0.0.2"]).await;
    is_let_in(&house, "127.0.0.2").await;
    let banned = house.event("limits.banned", None).await;
    assert_eq!(banned["actor"], "operator");
    let detail = banned["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("address 127.0.0.2 until ") && detail.ends_with(": guessing"),
        "{detail}"
    );
    house.event("limits.unbanned", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_banned_as_a_whole_and_an_address_in_it_is_not_lifted_by_itself() {
    let house = House::open().await;
    ban(&house, &["127.0.0.2/31", "--forever", MEANT]).await;
    is_kept_out(&house, "127.0.0.2").await;
    is_kept_out(&house, "127.0.0.3").await;
    assert!(is_heard(&house, "127.0.0.4").await && is_heard(&house, "127.0.0.1").await);
    let refused = house.gateway.cli(&["limits", "unban", "127.0.0.2"]).await.failed();
    assert!(refused.contains("still banned by the ban of 127.0.0.2/31"), "{refused}");
    unban(&house, &["127.0.0.2/31"]).await;
    is_let_in(&house, "127.0.0.3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_from_a_banned_address_ends_and_nothing_more_is_forwarded() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = from(&house, "127.0.0.2");
    assert!(visitor.sign_in(&person.extension, PASSWORD).await.is_done());
    assert!(visitor.passes().await);
    let mut call = visitor.websocket("/ws").await.unwrap();
    let colleague = house.signed_in(&person).await;
    let mut other = colleague.websocket("/ws").await.unwrap();
    ban(&house, &["127.0.0.2", "--for", "1h", MEANT]).await;
    let ended = async {
        while let Some(Ok(message)) = call.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| u16::from(frame.code));
            }
        }
        None
    };
    let code = tokio::time::timeout(PROMISED, ended)
        .await
        .expect("the call ends in time");
    assert_eq!(code, Some(1008));
    let forwarded = house.upstream.count();
    // The connection that is open already is heard, and told.
    visitor.fetch("/passes").await.is_problem(403, "banned");
    assert_eq!(house.upstream.count(), forwarded);
    assert!(colleague.passes().await);
    futures_util::SinkExt::send(&mut other, Message::text("still here"))
        .await
        .unwrap();
    let echo = soon("the echo", other.next()).await.unwrap().unwrap();
    assert_eq!(echo, Message::text("still here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_a_banned_client_is_told_so_and_nothing_is_forwarded() {
    let house = House::with("[server]\ntrusted_proxies = [\"127.0.0.1\"]").await;
    let person = house.welcome("101").await;
    let client = |address: &str| Visitor::at(&house.gateway, IN).always("x-forwarded-for", address);
    let (banned, neighbour) = (client("203.0.113.9"), client("203.0.113.10"));
    for visitor in [&banned, &neighbour] {
        assert!(visitor.sign_in(&person.extension, PASSWORD).await.is_done());
        assert!(visitor.passes().await);
    }
    ban(&house, &["203.0.113.9", "--for", "1h"]).await;
    let refused = within(PROMISED, "the client to be refused", async || {
        let answer = banned.fetch("/passes").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused.is_problem(403, "banned");
    let forwarded = house.upstream.count();
    for target in ["/", "/login", "/.sekisho/account", "/ws"] {
        let page = banned.get(target).await;
        assert_eq!(page.status, 403, "{target}: {page:?}");
        assert!(
            page.header("content-type").unwrap().starts_with("text/html"),
            "{page:?}"
        );
        assert!(!page.text().contains("203.0.113"), "{page:?}");
    }
    let page = banned.get("/login").await.text();
    let style = page.split("href=\"").find_map(|rest| {
        let (href, _) = rest.split_once('"')?;
        href.contains(".css")
            .then(|| href.replace("&amp;", "&").replace("&#x2f;", "/"))
    });
    assert_eq!(banned.get(&style.unwrap()).await.status, 200, "the page is dressed");
    assert_eq!(guess(&banned, "101", PASSWORD).await.status, 403);
    assert_eq!(house.upstream.count(), forwarded);
    assert!(neighbour.passes().await);
    assert!(value(&house, "sekisho_requests_total{outcome=\"banned\",status=\"4xx\"}").await >= 5.0);
    unban(&house, &["203.0.113.9"]).await;
    within(PROMISED, "the client to be let in", async || {
        banned.fetch("/passes").await.is_done().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_asks_about_a_banned_client_is_told_no() {
    let proxies = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[forward_auth]\nproxies = [\"127.0.0.1\"]";
    let house = House::with(proxies).await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let asked = async |client: &str| {
        let asking = visitor.script(http::Method::GET, "/.sekisho/auth/traefik");
        let asking = asking
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", IN)
            .header("x-forwarded-uri", "/x")
            .header("x-forwarded-for", client);
        asking.send().await
    };
    assert_eq!(asked("203.0.113.9").await.status, 200);
    ban(&house, &["203.0.113.9", "--for", "1h"]).await;
    in_force(&house, "address", 1.0).await;
    let refused = asked("203.0.113.9").await;
    refused.is_problem(403, "banned");
    assert!(refused.header(ASSERTION).is_none(), "{refused:?}");
    assert_eq!(asked("203.0.113.10").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_banned_by_its_pseudonym_whether_anybody_has_it_or_not() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let secrets = SecretFiles::open_or_make(&house.gateway.home().join("secrets"), &OsEntropy).unwrap();
    let key = secrets.sealing_key.derive("limits");
    let clock = sekisho::app::world().clock();
    let limiter = MemoryLimiter::new(LimiterTerms::alone(1, key, clock, Arc::new(OsEntropy)));
    let pseudonym = |text: &str| Target::Pseudonym(limiter.digest_text(text)).value();
    for name in ["101", "nobody@example.com", person.email.as_str()] {
        ban(&house, &["--pseudonym", &pseudonym(name), "--forever"]).await;
    }
    in_force(&house, "pseudonym", 3.0).await;
    let wrong = guess(&house.visitor(), "999", PASSWORD).await;
    for name in ["101", "nobody@example.com", "\u{ff11}\u{ff10}\u{ff11}"] {
        assert_eq!(
            seen(&guess(&house.visitor(), name, PASSWORD).await),
            seen(&wrong),
            "{name}"
        );
    }
    let banned = house
        .events()
        .await
        .into_iter()
        .filter(|event| event["detail"] == "banned");
    assert_eq!(banned.count(), 3);
    // Nothing is sent to an address that is banned, and it looks as always.
    let asked = json!({ "email": person.email });
    let answer = house.visitor().post_json("/forgot-password", &asked).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    house.event("reset.requested", None).await;
    let letters: Vec<Value> = house.gateway.cli_json(&["mail", "list", "--json"]).await;
    assert!(letters.iter().all(|letter| letter["matter"] != "reset"), "{letters:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_a_proxy_announces_is_refused_before_tls() {
    let house = House::with("[server]\nproxy_protocol = [\"127.0.0.1/32\"]").await;
    let (at, roots) = (*house.gateway.address().lock(), house.gateway.roots());
    let hears = async |client: &str| {
        let line = format!("PROXY TCP4 {client} 10.0.0.1 8080 443\r\n");
        introduced(at, line.as_bytes(), IN, &roots).await.is_ok()
    };
    assert!(hears("203.0.113.9").await);
    ban(&house, &["203.0.113.0/24", "--for", "1h"]).await;
    within(PROMISED, "the client to be refused", async || {
        (!hears("203.0.113.9").await).then_some(())
    })
    .await;
    assert!(hears("198.51.100.9").await, "the proxy brings others as before");
}

/// An answer without what differs between any two: its date, its request and its cookies.
fn seen(answer: &Answer) -> (u16, Value, Vec<String>) {
    let mut json = answer.json();
    if let Some(problem) = json.as_object_mut() {
        problem.remove("instance");
        problem.remove("request_id");
        problem.remove("request");
    }
    let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    names.sort();
    (answer.status, json, names)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_account_is_refused_as_a_wrong_password_is() {
    let house = House::open().await;
    let (banned, other) = (house.welcome("101").await, house.welcome("102").await);
    let session = house.signed_in(&banned).await;
    ban(&house, &["--account", "101", "--for", "1h", "--reason", "taken over"]).await;
    in_force(&house, "account", 1.0).await;
    let wrong = guess(&house.visitor(), "102", OTHER_PASSWORD).await;
    assert_eq!(wrong.status, 401);
    for password in [PASSWORD, OTHER_PASSWORD] {
        let refused = guess(&house.visitor(), "101", password).await;
        assert_eq!(seen(&refused), seen(&wrong), "{password}");
    }
    let event = house.event("sign-in.refused", Some("banned")).await;
    assert!(
        event["account"].is_string() || event["extension"].is_string(),
        "{event}"
    );

    // The session lives on, and the password opens nothing more in it.
    assert!(session.passes().await);
    let change = json!({"old_password": PASSWORD, "password": OTHER_PASSWORD, "confirmation": OTHER_PASSWORD});
    let changed = session.post_json("/.sekisho/account/password", &change).await;
    assert!(!changed.is_done(), "{changed:?}");

    // A reset is accepted as any, and sends nothing.
    let asked = |email: &str| json!({ "email": email });
    let looks = house
        .visitor()
        .post_json("/forgot-password", &asked(&banned.email))
        .await;
    let alike = house
        .visitor()
        .post_json("/forgot-password", &asked(&other.email))
        .await;
    assert_eq!(seen(&looks), seen(&alike));
    house.event("link.withheld", Some("reset banned")).await;
    house.event("link.sent", Some("reset")).await;

    let shown = house.gateway.cli(&["account", "show", "101"]).await.succeeded();
    assert!(shown.contains("Banned") && shown.contains(": taken over"), "{shown}");
    let explain = ["explain", "--url", "https://in.test/x", "--as", "101", "--json"];
    let explained: Value = house.gateway.cli_json(&explain).await;
    assert_eq!(explained["bans"][0]["stops"], "sign-ins", "{explained:#}");
    assert_eq!(
        (&explained["verdict"], &explained["bans"][0]["reason"]),
        (&json!("forwarded"), &json!("taken over"))
    );
    // Two passwords to sign in and one in the session: counted as bans, and again when they are replayed.
    let told: Value = eventually("the attempts in the store", async || {
        let told: Value = house.gateway.cli_json(&["limits", "replay", "--json"]).await;
        (told["recorded"]["banned"] == 3).then_some(told)
    })
    .await;
    assert_eq!(told["active"]["banned"], 3, "{told:#}");
    assert_eq!(told["active"]["agreement"]["other"], 0, "{told:#}");
    ban(&house, &["--account", "101", "--for", "1h", "--end-sessions"]).await;
    within(PROMISED, "the session to end", async || {
        (!session.passes().await).then_some(())
    })
    .await;
    unban(&house, &["--account", "101"]).await;
    within(PROMISED, "the account to sign in", async || {
        guess(&house.visitor(), "101", PASSWORD).await.is_done().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_a_banned_account_opens_nothing_until_the_ban_is_lifted() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let asked = json!({ "email": person.email });
    assert!(house.visitor().post_json("/forgot-password", &asked).await.is_done());
    let links = house.mailbox.next_links(&person.email).await;
    ban(&house, &["--account", "101", "--for", "1h"]).await;
    in_force(&house, "account", 1.0).await;
    let refused = house.visitor().set_password(&links.in_office, OTHER_PASSWORD).await;
    assert!(!refused.is_done(), "{refused:?}");
    unban(&house, &["--account", "101"]).await;
    in_force(&house, "account", 0.0).await;
    let set = house.visitor().set_password(&links.in_office, OTHER_PASSWORD).await;
    assert!(set.is_done(), "{set:?}");
}

/// The pseudonym that the log has for the device of the last sign-in.
async fn device_in_log(house: &House) -> String {
    eventually("the device to be in the log", async || {
        let printed = house.gateway.printed();
        let line = printed.lines().rev().find(|line| line.contains("\"signed in\""))?;
        let json: Value = serde_json::from_str(line).ok()?;
        Some(
            json.pointer("/device")
                .or_else(|| json.pointer("/fields/device"))?
                .as_str()?
                .to_owned(),
        )
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_device_is_a_strangers_and_its_attempts_come_to_nothing() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let (stolen, kept) = (house.signed_in(&person).await, house.visitor());
    let device = device_in_log(&house).await;
    assert!(kept.sign_in("101", PASSWORD).await.is_done());
    eventually("the other device to be in the log", async || {
        (device_in_log(&house).await != device).then_some(())
    })
    .await;
    ban(&house, &["--device", &device, "--forever"]).await;
    in_force(&house, "device", 1.0).await;
    for visitor in [&stolen, &kept] {
        visitor.set_cookie(SESSION, None);
    }
    let wrong = guess(&house.visitor(), "101", OTHER_PASSWORD).await;
    assert_eq!(seen(&guess(&stolen, "101", PASSWORD).await), seen(&wrong));
    house.event("sign-in.refused", Some("banned")).await;
    assert!(guess(&kept, "101", PASSWORD).await.is_done());
    unban(&house, &["--device", &device]).await;
    in_force(&house, "device", 0.0).await;
    assert!(guess(&stolen, "101", PASSWORD).await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn bans_survive_power_cuts_restarts_and_reloads_and_end_at_their_time() {
    let house = House::open().await;
    house.welcome("101").await;
    ban(&house, &["127.0.0.2", "--forever", MEANT]).await;
    ban(&house, &["--account", "101", "--for", "1h"]).await;
    let span = Duration::from_secs(4);
    let given = std::time::Instant::now();
    ban(&house, &["127.0.0.3", "--for", "4s", MEANT]).await;
    is_kept_out(&house, "127.0.0.2").await;
    house.gateway.kill();
    house.gateway.start().await;
    // At once: the bans are known before the first connection is taken.
    assert!(!is_heard(&house, "127.0.0.2").await);
    assert_eq!(guess(&house.visitor(), "101", PASSWORD).await.status, 401);
    house.gateway.restart().await;
    assert!(!is_heard(&house, "127.0.0.2").await);
    house.gateway.configure("[branding]\nname = \"Another\"");
    house.gateway.cli(&["reload"]).await.succeeded();
    assert!(!is_heard(&house, "127.0.0.2").await);
    eventually("the short ban to be over", async || {
        is_heard(&house, "127.0.0.3").await.then_some(())
    })
    .await;
    assert!(given.elapsed() >= span, "not before its time");
    let listed: Value = house.gateway.cli_json(&["limits", "list", "--json"]).await;
    let values: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["target"].clone())
        .collect();
    assert_eq!(values, ["account", "address"], "newest first: {listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_exempt_is_counted_by_no_rule_until_that_is_over() {
    let house = House::with(&quotas(&[("sign-in.client", "2 per 1h")])).await;
    let other = from(&house, "127.0.0.2");
    let exempt = ["limits", "exempt", "127.0.0.2", "--for", "10s"];
    house.gateway.cli(&exempt).await.succeeded();
    in_force(&house, "exemption", 1.0).await;
    for _ in 0..5 {
        assert_eq!(guess(&other, "999", PASSWORD).await.status, 401);
    }
    // It is no permission for anybody else.
    let visitor = house.visitor();
    let statuses = [1, 2, 3].map(|_| guess(&visitor, "999", PASSWORD));
    let statuses = futures_util::future::join_all(statuses).await;
    assert_eq!(
        statuses.iter().filter(|answer| answer.status == 429).count(),
        1,
        "{statuses:?}"
    );
    in_force(&house, "exemption", 0.0).await;
    eventually("the rules to count again", async || {
        (guess(&other, "999", PASSWORD).await.status == 429).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_list_has_the_sources_of_attacks_under_way_where_that_is_asked_for() {
    let house = House::with("[server]\ntrusted_proxies = [\"127.0.0.1\"]").await;
    // The tenth name makes it an attack, and by then each address has made attempts enough to be listed.
    for n in 0..28 {
        let visitor = house
            .visitor()
            .always("x-forwarded-for", &format!("203.0.113.{}", 8 + n % 3));
        let name = format!("9{:02}", n / 3);
        assert_eq!(guess(&visitor, &name, PASSWORD).await.status, 401);
    }
    house.event("campaign.began", None).await;
    let export = async |args: &[&str]| {
        let args = [&["limits", "export", "--format"], args].concat();
        house.gateway.cli(&args).await.succeeded()
    };
    eventually("the sources to be stored", async || {
        (export(&["plain", "--campaigns"]).await == "203.0.113.8/31\n203.0.113.10\n").then_some(())
    })
    .await;
    assert_eq!(export(&["plain"]).await, "");
    let table = export(&["nftables", "--campaigns", "30m"]).await;
    assert!(
        table.contains("203.0.113.8 timeout ") && table.contains("source of an attack"),
        "{table}"
    );
}

/// Puts a policy beside the configuration that lets two guesses an hour through at one name.
fn tight(house: &House) -> String {
    let text = "[[rule]]\nname = \"sign-in.tight\"\nendpoint = [\"sign-in\"]\nkey = \"client+account\"\nquota = \"2 per 1h\"\n";
    let file = house.gateway.home().join("tonight.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// What three wrong passwords at one name are answered.
async fn three(house: &House, login: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(guess(&house.visitor(), login, OTHER_PASSWORD).await.status);
    }
    statuses
}

/// Waits until the policy that holds lets three guesses through, or does not.
async fn holds(house: &House, policy: &str, lets_three: bool) {
    let mut names = 900..;
    eventually(&format!("the policy {policy} to hold"), async || {
        let name = names.next().unwrap().to_string();
        (three(house, &name).await.last() == Some(&if lets_three { 401 } else { 429 })).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applied_policy_reverts_by_itself_also_when_nothing_ran_at_that_time() {
    let house = House::open().await;
    let file = tight(&house);
    let apply = [
        "limits", "apply", &file, "--for", "8s", "--reason", "spray", "--author", "sam",
    ];
    let said = house.gateway.cli(&apply).await.succeeded();
    assert!(
        said.starts_with("The policy file tonight.toml is in force until "),
        "{said}"
    );
    holds(&house, "of the file", false).await;
    let listed: Value = house.gateway.cli_json(&["limits", "list", "--json"]).await;
    assert_eq!(
        (&listed[0]["kind"], &listed[0]["value"]),
        (&json!("policy"), &json!("tonight.toml"))
    );
    assert_eq!(
        (&listed[0]["author"], &listed[0]["reason"]),
        (&json!("sam"), &json!("spray"))
    );
    let left = listed[0]["seconds_left"].as_i64().unwrap();
    assert!((0..=8).contains(&left), "{left}");
    holds(&house, "of the configuration", true).await;
    let ended = house.event("limits.override-ended", None).await;
    assert_eq!(ended["actor"], "gateway");
    assert!(
        ended["detail"]
            .as_str()
            .unwrap()
            .starts_with("file tonight.toml until "),
        "{ended}"
    );

    // It outlasts a power cut, and its end comes while nothing runs.
    let apply = ["limits", "apply", &file, "--for", "15s"];
    house.gateway.cli(&apply).await.succeeded();
    holds(&house, "of the file", false).await;
    house.gateway.kill();
    house.gateway.start().await;
    assert_eq!(three(&house, "800").await, [401, 401, 429], "from the first attempt on");
    house.gateway.kill();
    eventually("its time to be over", async || {
        let listed: Value = house.gateway.cli_json(&["limits", "list", "--json"]).await;
        (listed == json!([])).then_some(())
    })
    .await;
    house.gateway.start().await;
    assert_eq!(three(&house, "801").await, [401, 401, 401]);
    eventually("the second end to be recorded", async || {
        let events = house.events().await;
        let ended = events.iter().filter(|event| event["name"] == "limits.override-ended");
        (ended.count() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applied_policy_is_ended_by_a_command_and_one_that_is_wrong_is_not_applied() {
    let house = House::open().await;
    let file = tight(&house);
    house
        .gateway
        .cli(&["limits", "apply", &file, "--for", "1h"])
        .await
        .succeeded();
    holds(&house, "of the file", false).await;
    let said = house.gateway.cli(&["limits", "apply", "--end"]).await.succeeded();
    assert!(said.contains("file tonight.toml is applied no more"), "{said}");
    holds(&house, "of the configuration", true).await;
    let ended = house.event("limits.override-ended", None).await;
    assert_eq!(ended["actor"], "operator");
    let none = house.gateway.cli(&["limits", "apply", "--end"]).await.failed();
    assert!(none.contains("no policy is applied"), "{none}");

    // Whoever replays that time has the applied policy in its place, too, and is told so.
    let told: Value = eventually("what was refused in the store", async || {
        let told: Value = house.gateway.cli_json(&["limits", "replay", "--json"]).await;
        (told["recorded"]["rules"]["sign-in.tight"]["refused"].as_u64() > Some(0)).then_some(told)
    })
    .await;
    let order = &told["orders"][0];
    assert_eq!(order["ordered"], "file tonight.toml", "{told:#}");
    assert!(order["until"].is_string() && order["understood"] == true, "{order}");
    let again = told["active"]["rules"]["sign-in.tight"]["refused"].as_u64();
    assert!(again > Some(0), "{told:#}");
    let compared = ["limits", "replay", "--active", "standard", "--json"];
    let compared: Value = house.gateway.cli_json(&compared).await;
    assert_eq!(compared["orders"], json!([]));
    assert_eq!(compared["active"]["rules"]["sign-in.tight"], Value::Null);

    let unknown = house
        .gateway
        .cli(&["limits", "apply", "stricter", "--for", "1h"])
        .await
        .failed();
    assert!(unknown.contains("relaxed, standard or strict"), "{unknown}");
    std::fs::write(&file, "[[rule]]\nname = \"sign-in.tight\"\nquota = \"many\"\n").unwrap();
    let wrong = house.gateway.cli(&["limits", "apply", &file, "--for", "1h"]).await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(
        wrong.err.lines().count() > 1 && wrong.err.contains("tonight.toml: "),
        "{wrong:?}"
    );
    let listed: Value = house.gateway.cli_json(&["limits", "list", "--json"]).await;
    assert_eq!(listed, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_says_who_is_banned_by_whom_why_and_for_how_long() {
    let house = House::open().await;
    house.welcome("101").await;
    let args = [
        "203.0.113.0/24",
        "--for",
        SPAN,
        "--reason",
        "stuffing",
        "--author",
        "sam",
    ];
    ban(&house, &args).await;
    ban(&house, &["--account", "101", "--forever"]).await;
    let exempt = [
        "limits",
        "exempt",
        "192.0.2.0/24",
        "--for",
        "8h",
        "--reason",
        "load test",
    ];
    house.gateway.cli(&exempt).await.succeeded();
    in_force(&house, "exemption", 1.0).await;
    let text = house.gateway.cli(&["limits", "list"]).await.succeeded();
    for words in [
        "203.0.113.0/24",
        "2h 30m",
        "sam",
        "stuffing",
        "101",
        "Person 101",
        "for ever",
        "192.0.2.0/24",
        "load test",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let listed: Value = house.gateway.cli_json(&["limits", "list", "--json"]).await;
    assert_eq!(
        (&listed[2]["author"], &listed[2]["reason"]),
        (&json!("sam"), &json!("stuffing"))
    );
    assert_eq!(listed[1]["extension"], "101");
    house
        .gateway
        .cli(&["limits", "unexempt", "192.0.2.0/24"])
        .await
        .succeeded();
    house.event("limits.exempted", None).await;
    house.event("limits.exemption-ended", None).await;

    let plain = house
        .gateway
        .cli(&["limits", "export", "--format", "plain"])
        .await
        .succeeded();
    assert_eq!(plain, "203.0.113.0/24\n");
    let table = house
        .gateway
        .cli(&["limits", "export", "--format", "nftables"])
        .await
        .succeeded();
    assert!(
        table.contains("203.0.113.0/24 timeout 2h30m") && table.contains("comment \"stuffing\""),
        "{table}"
    );
    let commands = house
        .gateway
        .cli(&["limits", "export", "--format", "fail2ban"])
        .await
        .succeeded();
    assert_eq!(commands, "fail2ban-client set sekisho banip 203.0.113.0/24\n");

    for (args, words) in [
        (
            &["203.0.113.7/24", "--forever"][..],
            "write 203.0.113.0/24 for the network",
        ),
        (&["0.0.0.0/0", "--forever"], "--danger-everybody"),
        (&["127.0.0.1", "--forever"], "--danger-own-addresses"),
        (&["yuki", "--forever"], "no address and no network"),
        (&["--account", "999", "--forever"], "there is no account 999"),
        (&["203.0.113.9", "--until", "2001-01-01"], "over already"),
    ] {
        let args = [&["limits", "ban"], args].concat();
        let refused = house.gateway.cli(&args).await.failed();
        assert!(refused.contains(words), "{args:?}: {refused}");
    }
    let refused = house.gateway.cli(&["limits", "unban", "198.51.100.1"]).await.failed();
    assert!(refused.contains("is not banned"), "{refused}");
}
