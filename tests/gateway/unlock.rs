//! An owner and somebody who guesses at her account: her known browser is never stopped, and a new one is unlocked by mail.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use sqlx::Connection;

use crate::harness::page::{form, hidden_fields};
use crate::harness::{Answer, House, OTHER_PASSWORD, PASSWORD, Person, SESSION, Visitor, asked, eventually, quotas};
use crate::metrics::value;

const ASK: &str = "/.sekisho/unlock/ask";
const UNLOCK: &str = "/.sekisho/unlock";
const DEVICE: &str = "__Host-sekisho-device";
const SHED: &str = "sekisho_hashing_shed_total{lane=\"strangers\"}";
const HASHED: &str = "sekisho_hashing_completed_total";

/// Addresses are told by a proxy that is trusted.
const BEHIND_A_PROXY: &str = "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]";

/// A house where three wrong passwords are enough.
async fn strict() -> House {
    let rules = quotas(&[("sign-in.client+account", "3 per 1h"), ("sign-in.device", "3 per 1h")]);
    House::with(&format!("{rules}\n{BEHIND_A_PROXY}")).await
}

/// Somebody with a fresh browser at an address.
fn at(house: &House, address: &str) -> Visitor {
    house.visitor().always("x-forwarded-for", address)
}

async fn guess(visitor: &Visitor, login: &str, number: usize) -> Answer {
    let body = json!({"login": login, "password": format!("{OTHER_PASSWORD} {number}")});
    visitor.post_json("/login", &body).await
}

/// Guesses from one address until it is stopped at this account.
async fn until_stopped(visitor: &Visitor, login: &str) -> Answer {
    for number in 0..60 {
        let answer = guess(visitor, login, number).await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("nobody stops whoever guesses at {login}");
}

/// Presses the button of the page that says that somebody is stopped.
async fn ask(visitor: &Visitor, stopped: &Answer) -> Answer {
    let asked = visitor.send_form(stopped, ASK, &[]).await;
    assert!(asked.is_done(), "{asked:?}");
    visitor.get("/login").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_at_one_account_leaves_its_owner_alone_at_her_desk_and_is_kept_to_its_figure() {
    let rules = quotas(&[
        ("sign-in.account", "100 per 1h"),
        ("sign-in.client+account", "10 per 15m"),
    ]);
    let house = House::with(&format!("{rules}\n{BEHIND_A_PROXY}")).await;
    let person = house.welcome("101").await;
    let owner = at(&house, "198.51.100.1");
    assert!(owner.sign_in(&person.extension, PASSWORD).await.is_done());
    let (begun, before) = (Instant::now(), value(&house, HASHED).await);
    // As long as eight sign-ins take; `SEKISHO_SIEGE=180` has it go on for so many seconds.
    let siege = Duration::from_secs(asked("SEKISHO_SIEGE", 0) as u64);

    // Fourteen addresses in as many networks: more than what may be tried at one account in an hour, at ten for each.
    let (over, sent, compared) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicU64::new(0));
    let flood = join_all((0..14).map(|address| {
        let (house, over, sent, compared) = (&house, &over, &sent, &compared);
        async move {
            let attacker = at(house, &format!("203.0.{address}.7"));
            let mut refused = 0;
            while !over.load(Ordering::Relaxed) || refused < 5 {
                let answer = guess(&attacker, "101", sent.fetch_add(1, Ordering::Relaxed)).await;
                match answer.status {
                    401 => compared.fetch_add(1, Ordering::Relaxed),
                    429 => {
                        refused += 1;
                        assert!(answer.header("retry-after").is_some());
                        0
                    }
                    // Too much at once: nothing was compared.
                    503 => 0,
                    status => panic!("{status}: {answer:?}"),
                };
            }
        }
    }));
    let desk = async {
        let mut times = Vec::new();
        while times.len() < 8 || begun.elapsed() < siege {
            let so_far = sent.load(Ordering::Relaxed);
            eventually("the flood to go on", async || {
                (sent.load(Ordering::Relaxed) >= so_far + 50).then_some(())
            })
            .await;
            owner.set_cookie(SESSION, None);
            let tried = Instant::now();
            let signed_in = owner.sign_in(&person.extension, PASSWORD).await;
            times.push(tried.elapsed());
            assert!(
                signed_in.is_done(),
                "at the first try, time {}: {signed_in:?}",
                times.len()
            );
            assert!(owner.passes().await);
        }
        over.store(true, Ordering::Relaxed);
        times
    };
    let (_, mut times) = tokio::join!(flood, desk);
    let (sent, compared) = (sent.into_inner(), compared.into_inner());
    // 100 in an hour come back at one in 36 seconds.
    let (took, most) = (begun.elapsed(), 100 + begun.elapsed().as_secs() / 36 + 1);
    times.sort();
    eprintln!(
        "figure: {took:.0?} of guesses at one account: {sent} sent, {compared} compared of {most} that the policy lets; its \
         owner signed in {} times, each at the first try, after {:.0?} (median), {:.0?} (longest)",
        times.len(),
        times[times.len() / 2],
        times[times.len() - 1]
    );
    assert!(sent > 140, "it was a flood");
    assert!((50..=most).contains(&compared), "{compared} guesses, {most} at most");
    let of_hers = f64::from(u32::try_from(times.len()).unwrap());
    let hashed = value(&house, HASHED).await - before - of_hers;
    assert!(hashed <= f64::from(u32::try_from(most).unwrap()), "{hashed} hashes");

    // On a browser that the account does not know she is stopped, as everybody is, and helped by mail.
    let strange = at(&house, "198.51.100.2");
    let stopped = strange.sign_in(&person.extension, PASSWORD).await;
    assert_eq!(stopped.status, 429, "{stopped:?}");
    ask(&strange, &stopped).await;
    unlock_by_mail(&house, &person, &strange).await;
}

/// Follows the link of the letter, unlocks the browser, and signs in at the first try.
async fn unlock_by_mail(house: &House, person: &Person, visitor: &Visitor) -> String {
    let link = house.mailbox.next_links(&person.email).await.in_office;
    assert!(link.contains(&format!("{UNLOCK}?ticket=")), "{link}");
    let page = visitor.follow(&link).await;
    assert_eq!(page.status, 200, "{page:?}");
    let unlocked = visitor.send_form(&page, UNLOCK, &[]).await;
    assert_eq!(unlocked.location(), "/login");
    assert!(visitor.cookie(SESSION).is_none(), "nobody is signed in by it");
    assert!(visitor.get("/login").await.text().contains("This browser is unlocked."));
    assert!(visitor.sign_in(&person.extension, PASSWORD).await.is_done());
    house.event("browser.unlocked", None).await;
    link
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_works_once_in_one_browser_and_opening_it_changes_nothing() {
    let house = strict().await;
    let person = house.welcome("101").await;
    let visitor = house.visitor();
    until_stopped(&visitor, "101").await;
    let stopped = visitor.sign_in("101", PASSWORD).await;
    let told = ask(&visitor, &stopped).await.text();
    assert!(told.contains("At most one is sent in an hour"), "{told}");
    let link = house.mailbox.next_links(&person.email).await.in_office;
    for _ in 0..3 {
        assert_eq!(
            house.visitor().follow(&link).await.status,
            200,
            "as a mail scanner does"
        );
    }
    let page = visitor.follow(&link).await;
    assert!(visitor.cookie(DEVICE).is_none());
    assert_eq!(visitor.sign_in("101", PASSWORD).await.status, 429, "not by looking");
    let unlocked = visitor.send_form(&page, UNLOCK, &[]).await;
    assert_eq!(unlocked.location(), "/login");
    assert!(visitor.cookie(DEVICE).is_some());
    let late = house.visitor();
    assert_eq!(late.follow(&link).await.status, 410, "used");
    let ticket = link.split_once("ticket=").unwrap().1;
    let scripted = late.post_json(UNLOCK, &json!({ "ticket": ticket })).await;
    scripted.is_problem(410, "unlock-dead");
    assert!(late.cookie(DEVICE).is_none());
    assert_eq!(
        late.sign_in("101", PASSWORD).await.status,
        429,
        "another browser is stopped as before"
    );
    assert!(visitor.sign_in("101", PASSWORD).await.is_done());
    // In a lane of its own the browser has a quota of its own, and no more.
    visitor.set_cookie(SESSION, None);
    until_stopped(&visitor, "101").await;
    let again = visitor.sign_in("101", PASSWORD).await.text();
    assert!(
        again.contains("Too many attempts") && form(&again, ASK).is_none(),
        "{again}"
    );
    // The token is in no log.
    assert!(!house.gateway.said().iter().any(|line| line.contains(ticket)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_written_to_once_an_hour_whoever_asks_and_how_often() {
    let house = strict().await;
    let person = house.welcome("101").await;
    for (address, name) in [(1, "101"), (2, "101"), (3, "p101@example.com"), (4, "１０１")] {
        let visitor = at(&house, &format!("203.0.113.{address}"));
        until_stopped(&visitor, name).await;
        let stopped = visitor.sign_in(name, PASSWORD).await;
        ask(&visitor, &stopped).await;
    }
    house.event("notice.sent", Some("browser-unlock")).await;
    crate::harness::eventually("the other wishes to be withheld", async || {
        let withheld = house
            .events()
            .await
            .into_iter()
            .filter(|event| event["name"] == "notice.withheld" && event["detail"] == "browser-unlock link-fresh");
        (withheld.count() == 3).then_some(())
    })
    .await;
    let unlocks = || {
        let letters = house.mailbox.letters_to(&person.email);
        letters
            .iter()
            .filter(|letter| letter.subject.contains("Unlock"))
            .count()
    };
    assert_eq!(unlocks(), 1);
    let first = house.mailbox.next_links(&person.email).await.in_office;

    // An hour later, as the store sees it: the next wish is answered, and its link ends the one before.
    let file = format!("sqlite://{}", house.gateway.home().join("store/sekisho.db").display());
    let mut store = sqlx::SqliteConnection::connect(&file).await.unwrap();
    sqlx::query("UPDATE unlocks SET created_at = created_at - 3600000")
        .execute(&mut store)
        .await
        .unwrap();
    store.close().await.unwrap();
    let visitor = at(&house, "203.0.113.1");
    let stopped = visitor.sign_in("101", PASSWORD).await;
    ask(&visitor, &stopped).await;
    unlock_by_mail(&house, &person, &visitor).await;
    assert_eq!(unlocks(), 2);
    assert_eq!(house.visitor().follow(&first).await.status, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_button_are_the_same_for_names_that_do_not_exist_or_cannot_be_written_to() {
    let house = strict().await;
    house.welcome("101").await;
    // Two who share an address: each has a letter of theirs, and neither may be written to about unlocking.
    for extension in ["102", "103"] {
        let add = [
            "account",
            "add",
            extension,
            "--name",
            "P",
            "--email",
            "shared@example.com",
        ];
        house.gateway.cli(&add).await.succeeded();
    }
    house
        .gateway
        .cli(&["account", "add", "104", "--name", "P"])
        .await
        .succeeded();
    let mut pages = Vec::new();
    for (address, name) in ["101", "102", "104", "999", "nobody@example.com"].iter().enumerate() {
        let visitor = at(&house, &format!("203.0.{address}.7"));
        let refused = until_stopped(&visitor, name).await;
        refused.is_problem(429, "throttled");
        let mut problem = refused.json();
        assert_eq!(problem["unlock_url"], ASK);
        for varies in ["retry_after", "detail", "request_id"] {
            problem.as_object_mut().unwrap().remove(varies);
        }
        let stopped = visitor.sign_in(name, PASSWORD).await;
        let page = stopped.text();
        let offered = form(&page, ASK)
            .expect("the button")
            .replace(&format!("\"{name}\""), "\"\"");
        let token = &hidden_fields(&page, ASK)[0].1;
        let told = ask(&visitor, &stopped).await.text();
        let said = told
            .split("class=\"notice\"")
            .nth(1)
            .map(|rest| rest.split("</p>").next().unwrap().to_owned());
        pages.push((problem, offered.replace(token, ""), said));
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:#?}");
    house.event("notice.sent", Some("browser-unlock")).await;
    house
        .event("notice.withheld", Some("browser-unlock shared-email"))
        .await;
    house.event("notice.withheld", Some("browser-unlock no-email")).await;
    house
        .event("notice.withheld", Some("browser-unlock unknown-name"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_device_signs_in_at_the_first_try_while_strangers_fill_the_hashing_queue() {
    let house = House::with(&format!(
        "{BEHIND_A_PROXY}\n[passwords.hashing]\nmemory = \"32 MiB\"\npasses = 4\nthreads = 1\nqueue = 4"
    ))
    .await;
    let person = house.welcome("101").await;
    let owner = at(&house, "198.51.100.1");
    assert!(owner.sign_in(&person.extension, PASSWORD).await.is_done());
    let strangers: Vec<_> = (0..12)
        .map(|network| at(&house, &format!("203.0.{network}.7")))
        .collect();
    // What is measured is the queue, and no handshakes.
    join_all(strangers.iter().map(|stranger| stranger.get("/login"))).await;
    for turn in 0..4 {
        owner.set_cookie(SESSION, None);
        let page = owner.get("/login").await;
        let before = value(&house, SHED).await;
        let flood = join_all(strangers.iter().map(|stranger| guess(stranger, "999", turn)));
        let desk = async {
            eventually("four to be turned away", async || {
                (value(&house, SHED).await >= before + 4.0).then_some(())
            })
            .await;
            let typed = [("login", person.extension.as_str()), ("password", PASSWORD)];
            owner.send_form(&page, "/login", &typed).await
        };
        let (answers, signed_in) = tokio::join!(flood, desk);
        assert!(signed_in.is_done(), "time {turn}: {signed_in:?}");
        for answer in answers.iter().filter(|answer| answer.status != 401) {
            answer.is_problem(503, "busy");
            assert!(answer.header("retry-after").is_some());
        }
    }
    assert!(value(&house, "sekisho_hashing_shed_total{lane=\"known\"}").await < f64::EPSILON);
    assert!(value(&house, SHED).await >= 16.0);
}
