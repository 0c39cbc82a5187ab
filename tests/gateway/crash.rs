//! Power cuts at random moments: whatever was acknowledged stands, no link works twice, no letter is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sekisho::demo::mailcatcher::Message;
use serde_json::json;

use crate::harness::mailbox::links;
use crate::harness::{Answer, House, Visitor, eventually, now};

/// How many people go through reset after reset at the same time.
const PEOPLE: usize = 8;
/// Set-password flows in all, at least.
const FLOWS: usize = 200;
/// Power cuts, at least.
const KILLS: usize = 20;

/// What one person knows.
#[derive(Default)]
struct Story {
    /// The password that was acknowledged last.
    acknowledged: String,
    /// Passwords sent since then whose answer never came: one of them may have been set.
    unanswered: Vec<String>,
    /// Links that have set a password for certain.
    spent: Vec<String>,
    /// The newest letter whose link is known to be over.
    read: u64,
}

struct Ledger {
    stories: HashMap<String, Story>,
    /// Reset requests that were acknowledged, by address.
    accepted: HashMap<String, usize>,
    /// Passwords whose setting was acknowledged.
    flows: usize,
    /// Answers of any kind.
    answers: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_random_moments_loses_nothing_that_was_acknowledged() {
    let house = Arc::new(House::with("[mail]\ntimeout = \"1s\"").await);
    let ledger = Arc::new(Mutex::new(Ledger {
        stories: HashMap::new(),
        accepted: HashMap::new(),
        flows: 0,
        answers: 0,
    }));
    for n in 0..PEOPLE {
        let person = house.welcome(&format!("10{n}")).await;
        let story = Story {
            acknowledged: person.password.clone(),
            ..Story::default()
        };
        ledger.lock().stories.insert(person.extension, story);
    }
    let over = Arc::new(AtomicBool::new(false));
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        let (house, ledger, over) = (Arc::clone(&house), Arc::clone(&ledger), Arc::clone(&over));
        people.push(tokio::spawn(async move {
            let mut round = 0;
            while !over.load(Ordering::Relaxed) {
                round += 1;
                one_flow(&house, &ledger, &format!("10{n}"), round, &over).await;
            }
        }));
    }
    let mut chance = u64::from(now().subsec_nanosecond().unsigned_abs()) | 1;
    let mut kills = 0;
    while ledger.lock().flows < FLOWS || kills < KILLS {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        // So many answers from now on, and a moment more: random points of the work, however fast the machine is.
        let from = ledger.lock().answers + usize::try_from(chance % 24).unwrap();
        eventually("people to go on", async || {
            (ledger.lock().answers >= from).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_micros((chance >> 32) % 60_000)).await;
        house.gateway.kill();
        house.gateway.start().await;
        kills += 1;
    }
    over.store(true, Ordering::Relaxed);
    for person in people {
        person.await.unwrap();
    }
    house.gateway.kill();
    house.gateway.start().await;
    judge(&house, &ledger).await;
    println!("{} flows, {kills} kills", ledger.lock().flows);
}

/// Asks for a link, waits for its letter, sets a password by it; whatever fails on the way is tried anew.
async fn one_flow(house: &House, ledger: &Mutex<Ledger>, extension: &str, round: usize, over: &AtomicBool) {
    let email = format!("p{extension}@example.com");
    let read = ledger.lock().stories[extension].read;
    let visitor = house.visitor();
    let Some(asked) = ask(&visitor, "/forgot-password", &json!({"email": email})).await else {
        return;
    };
    assert_eq!(asked.status, 202, "{asked:?}");
    {
        let mut ledger = ledger.lock();
        ledger.answers += 1;
        *ledger.accepted.entry(email.clone()).or_default() += 1;
    }
    // It may have come before: a link that works is not replaced because somebody asks again.
    let Some((letter, ticket)) = newest_ticket(house, &email, read, over).await else {
        return;
    };
    let password = format!("amber lantern {extension} drifts round {round}");
    ledger
        .lock()
        .stories
        .get_mut(extension)
        .unwrap()
        .unanswered
        .push(password.clone());
    let body = json!({"ticket": ticket, "password": password, "confirmation": password});
    let answered = ask(&visitor, "/set-password", &body).await;
    let mut ledger = ledger.lock();
    ledger.answers += usize::from(answered.is_some());
    let story = ledger.stories.get_mut(extension).unwrap();
    if answered.as_ref().is_some_and(|answer| answer.status != 503) {
        story.read = letter;
    }
    match answered {
        Some(answer) if answer.status == 200 => {
            story.acknowledged = password;
            story.unanswered.clear();
            story.spent.push(ticket);
            ledger.flows += 1;
        }
        Some(answer) => {
            // A newer letter has replaced the link, or the answer to an earlier use of it was lost.
            assert!(matches!(answer.status, 410 | 503), "{answer:?}");
            story.unanswered.pop();
        }
        None => {}
    }
}

/// Posts; `None` when the power went before an answer came.
async fn ask(visitor: &Visitor, path: &str, body: &serde_json::Value) -> Option<Answer> {
    visitor
        .script(http::Method::POST, path)
        .json(body)
        .try_send()
        .await
        .ok()
}

/// The newest letter that came after the one with the id `before`, and its ticket.
async fn newest_ticket(house: &House, email: &str, before: u64, over: &AtomicBool) -> Option<(u64, String)> {
    let begun = std::time::Instant::now();
    loop {
        let letters = house.mailbox.letters_to(email);
        let is_reset = |letter: &&Arc<Message>| {
            letter.id > before && letter.text.as_ref().is_some_and(|text| text.contains("ticket="))
        };
        if let Some(letter) = letters.iter().rev().find(is_reset) {
            return Some((letter.id, links(letter).ticket().to_owned()));
        }
        if over.load(Ordering::Relaxed) || begun.elapsed() > Duration::from_secs(10) {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn judge(house: &House, ledger: &Mutex<Ledger>) {
    // Every letter reaches its end: nothing waits for ever, nothing was given up, and what was withheld was so since a
    // link before it works.
    let letters = eventually("every letter to be delivered", async || {
        let letters: Vec<serde_json::Value> = house
            .gateway
            .cli_json(&["mail", "list", "--most", "5000", "--json"])
            .await;
        letters
            .iter()
            .all(|letter| letter["status"] != "waiting")
            .then_some(letters)
    })
    .await;
    let ended_as = |status: &str| letters.iter().filter(|letter| letter["status"] == status).count();
    let events: Vec<serde_json::Value> = house
        .gateway
        .cli_json(&["event", "list", "--most", "20000", "--json"])
        .await;
    let fresh = |event: &&serde_json::Value| event["name"] == "link.withheld" && event["detail"] == "reset link-fresh";
    let withheld = events.iter().filter(fresh).count();
    assert_eq!(
        (ended_as("delivered"), ended_as("withheld")),
        (letters.len() - withheld, withheld),
        "{letters:#?}"
    );
    let accepted: usize = ledger.lock().accepted.values().sum();
    let resets = letters.iter().filter(|letter| letter["matter"] == "reset").count();
    assert!(
        resets >= accepted,
        "{accepted} requests were acknowledged, {resets} letters are on record"
    );

    let stories = std::mem::take(&mut ledger.lock().stories);
    for (extension, story) in stories {
        let visitor = house.visitor();
        let candidates = std::iter::once(&story.acknowledged).chain(&story.unanswered);
        let mut working = Vec::new();
        for password in candidates {
            if visitor.sign_in(&extension, password).await.is_done() {
                working.push(password.clone());
                visitor.set_cookie(crate::harness::SESSION, None);
            }
        }
        assert_eq!(
            working.len(),
            1,
            "{extension}: exactly one password works; acknowledged {}",
            story.acknowledged
        );
        if story.unanswered.is_empty() {
            assert_eq!(
                working[0], story.acknowledged,
                "{extension}: the acknowledged password is lost"
            );
        }
        for ticket in &story.spent {
            let body = json!({"ticket": ticket, "password": crate::harness::PASSWORD, "confirmation": crate::harness::PASSWORD});
            let again = visitor.post_json("/set-password", &body).await;
            assert_eq!(again.status, 410, "a link worked twice: {again:?}");
        }
    }
}
