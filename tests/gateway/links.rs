//! Links with a visible life: what an administrator sees of each, what looking at one does and does not do, the sheet
//! for people without a mailbox, and the budget of letters.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use http::Method;
use sekisho::demo::mailcatcher::Behaviour;
use serde_json::{Value, json};

use crate::harness::{House, OTHER_PASSWORD, PASSWORD, eventually};

async fn links(house: &House, extension: &str) -> Vec<Value> {
    house
        .gateway
        .cli_json(&["link", "list", "--account", extension, "--json"])
        .await
}

/// Waits until the newest link of the account is at this stage.
async fn at_stage(house: &House, extension: &str, stage: &str) -> Value {
    eventually(&format!("a link at {stage}"), async || {
        let newest = links(house, extension).await.into_iter().next()?;
        (newest["stage"] == stage).then_some(newest)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_sees_the_life_of_a_link_and_never_the_link() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let first = house.mailbox.next_links(&email).await;
    let sent = at_stage(&house, "101", "sent").await;
    assert_eq!(
        (&sent["purpose"], &sent["way"], &sent["opened"]),
        (&"welcome".into(), &"letter".into(), &0.into())
    );
    assert!(
        sent["words"].as_str().unwrap().starts_with("250"),
        "the mail server's answer: {sent}"
    );

    for _ in 0..2 {
        house.visitor().follow(&first.in_office).await;
    }
    let opened = at_stage(&house, "101", "opened").await;
    assert_eq!(opened["opened"], 2);
    house.gateway.cli(&["account", "welcome", "101"]).await.succeeded();
    let second = house.mailbox.next_links(&email).await;
    at_stage(&house, "101", "sent").await;
    assert_eq!(links(&house, "101").await[1]["stage"], "replaced");
    assert!(
        house
            .visitor()
            .set_password(&second.in_office, PASSWORD)
            .await
            .is_done()
    );
    let used = at_stage(&house, "101", "used").await;
    assert_eq!(used["opened"], 1);
    assert!(used["ended_at"].is_string());

    let shown: Value = house.gateway.cli_json(&["account", "show", "101", "--json"]).await;
    assert_eq!(shown["links"].as_array().unwrap().len(), 2);
    assert_eq!(shown["extension"], "101");
    let people = house.gateway.cli(&["account", "show", "101"]).await.succeeded();
    assert!(people.contains("used") && people.contains("replaced"), "{people}");
    for args in [["link", "list"], ["mail", "list"], ["event", "list"]] {
        house.gateway.cli(&args).await.succeeded();
    }
    let printed = house.gateway.printed();
    for ticket in [first.ticket(), second.ticket()] {
        assert!(!printed.contains(ticket), "nobody sees a link");
    }
    let said = house.gateway.cli(&["link", "list", "--account", "999"]).await.failed();
    assert!(said.contains("999"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_prefetches_count_nothing_set_nothing_and_spend_nothing() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let target = links.in_office.strip_prefix("https://in.test").unwrap();
    at_stage(&house, "101", "sent").await;
    let scanner = house.visitor();
    for (method, header) in [
        (Method::HEAD, None),
        (Method::GET, Some(("sec-purpose", "prefetch;prerender"))),
        (Method::GET, Some(("sec-purpose", "prefetch"))),
        (Method::GET, Some(("purpose", "prefetch"))),
        (Method::GET, Some(("x-moz", "prefetch"))),
    ] {
        let mut asking = scanner.ask(method.clone(), target);
        if let Some((name, value)) = header {
            asking = asking.header(name, value);
        }
        let answer = asking.send().await;
        let wanted = if method == Method::HEAD { 200 } else { 503 };
        assert_eq!(answer.status, wanted, "{header:?}: {answer:?}");
        assert!(
            answer
                .headers
                .get("set-cookie")
                .is_none_or(|cookie| !cookie.to_str().unwrap().contains("ticket"))
        );
    }
    assert_eq!(at_stage(&house, "101", "sent").await["opened"], 0);
    assert!(house.visitor().set_password(&links.in_office, PASSWORD).await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_look_moves_the_token_out_of_the_address_without_javascript() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let target = links.in_office.strip_prefix("https://in.test").unwrap();
    let visitor = house.visitor();
    let moved = visitor.get(target).await;
    assert_eq!((moved.status, moved.location()), (303, "/set-password"));
    let page = visitor.get("/set-password").await;
    assert_eq!(page.status, 200);
    assert!(!page.text().contains(links.ticket()), "nor is it in the page");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(
        at_stage(&house, "101", "opened").await["opened"],
        1,
        "the redirect alone opens nothing"
    );
    assert!(house.gateway.stop().await.success());
    assert!(!house.gateway.printed().contains(links.ticket()), "nor in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_a_mailbox_gets_a_sheet_with_a_code_once() {
    let house = House::open().await;
    let args = ["account", "add", "101", "--name", "田中 ゆき", "--language", "ja"];
    house.gateway.cli(&args).await.succeeded();
    let said = house.gateway.cli(&["account", "welcome", "101"]).await.failed();
    assert!(said.contains("--print"), "{said}");

    let sheet = house.gateway.home().join("sheet.html");
    let name = sheet.display().to_string();
    let print = ["account", "welcome", "101", "--print", "--html", &name];
    let said = house.gateway.cli(&print).await.succeeded();
    assert!(!said.contains("ticket="), "the link is in the file alone: {said}");
    assert_eq!(fs::metadata(&sheet).unwrap().permissions().mode() & 0o7777, 0o600);
    let html = fs::read_to_string(&sheet).unwrap();
    for words in ["<svg", "社内から", "社外から", "田中 ゆき", "QR コード"] {
        assert!(html.contains(words), "{words}");
    }
    house.event("link.printed", Some("welcome")).await;
    let printed = at_stage(&house, "101", "printed").await;
    assert_eq!(printed["way"], "page");
    let said = house.gateway.cli(&print).await.failed();
    assert!(said.contains("is there already"), "{said}");

    let shown = house
        .gateway
        .cli(&["account", "welcome", "101", "--print"])
        .await
        .succeeded();
    assert!(
        shown.contains('█') || shown.contains('▀'),
        "a code in half blocks: {shown}"
    );
    let link = shown
        .lines()
        .find(|line| line.starts_with("https://in.test/"))
        .unwrap()
        .to_owned();
    assert_eq!(
        links(&house, "101").await[1]["stage"],
        "replaced",
        "the sheet before is worthless"
    );
    assert!(house.visitor().set_password(&link, PASSWORD).await.is_done());
    assert!(house.visitor().sign_in("101", PASSWORD).await.is_done());
    let said = house
        .gateway
        .cli(&["account", "welcome", "101", "--print"])
        .await
        .failed();
    assert!(said.contains("has set a password already"), "{said}");
    let ticket = link.split("ticket=").nth(1).unwrap();
    for (path, bytes) in house.gateway.stored() {
        let found = bytes.windows(ticket.len()).any(|part| part == ticket.as_bytes());
        assert!(!found, "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_waited_while_a_link_was_printed_does_not_spend_the_paper() {
    let house = House::closed("").await;
    let email = house.invite("101", &[]).await;
    let shown = house
        .gateway
        .cli(&["account", "welcome", "101", "--print"])
        .await
        .succeeded();
    let link = shown.lines().find(|line| line.starts_with("https://in.test/")).unwrap();
    house.gateway.start().await;
    house.event("link.withheld", Some("welcome link-replaced")).await;
    assert!(house.mailbox.letters_to(&email).is_empty());

    // Nor does an import of those who have not been written to.
    let file = house.gateway.home().join("people.csv");
    fs::write(&file, format!("extension,email\n101,{email}\n")).unwrap();
    let import = [
        "account",
        "import",
        file.to_str().unwrap(),
        "--welcome",
        "--apply",
        "--json",
    ];
    let report: Value = house.gateway.cli_json(&import).await;
    assert_eq!(report["counts"]["welcome"], 0, "{report}");
    assert!(house.visitor().set_password(link, PASSWORD).await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_enter_key_sends_one_letter_and_every_answer_is_the_same() {
    let house = House::with("[limits]\nequal_resets = \"1 per 1h\"").await;
    let person = house.welcome("101").await;
    let before = house.mailbox.letters().len();
    let visitor = house.visitor();
    let mut answers = Vec::new();
    for typed in [person.email.as_str(), "P101@EXAMPLE.COM"].repeat(5) {
        let answer = visitor.post_json("/forgot-password", &json!({"email": typed})).await;
        answers.push((answer.status, answer.text()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, 202);
    let reset = house.mailbox.next_links(&person.email).await;
    let asked = house
        .events()
        .await
        .iter()
        .filter(|event| event["name"] == "reset.requested")
        .count();
    assert_eq!(asked, 10, "each is recorded");
    let accepted = links(&house, "101")
        .await
        .iter()
        .filter(|link| link["purpose"] == "reset")
        .count();
    assert_eq!(accepted, 1, "one letter was accepted, so no second can follow");
    assert!(
        house
            .visitor()
            .set_password(&reset.in_office, OTHER_PASSWORD)
            .await
            .is_done()
    );
    house.event("notice.sent", None).await;
    assert_eq!(house.mailbox.letters().len(), before + 2, "one reset, one notice");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_budget_a_reset_sends_nothing_a_welcome_waits_and_an_operator_reads_why() {
    let house = House::with("[limits]\nmail_per_account = \"1 per 1h\"").await;
    let person = house.welcome("101").await;
    let ask = async || {
        let answer = house
            .visitor()
            .post_json("/forgot-password", &json!({"email": person.email}))
            .await;
        (answer.status, answer.text())
    };
    let refused = ask().await;
    house.event("link.withheld", Some("reset over-budget")).await;
    assert_eq!(house.mailbox.letters_to(&person.email).len(), 1, "the Welcome alone");
    let nobody = house
        .visitor()
        .post_json("/forgot-password", &json!({"email": "x@example.com"}))
        .await;
    assert_eq!((nobody.status, nobody.text()), refused, "a stranger learns nothing");

    // A second Welcome waits, and is not dropped.
    let email = house.invite("102", &[]).await;
    house.mailbox.next_links(&email).await;
    house.gateway.cli(&["account", "welcome", "102"]).await.succeeded();
    house.event("link.delayed", Some("welcome")).await;
    let waiting = at_stage(&house, "102", "queued").await;
    let words = eventually("the reason", async || {
        links(&house, "102").await[0]["words"].as_str().map(str::to_owned)
    })
    .await;
    assert!(
        words.contains("mail.account") && waiting["letter_status"] == "waiting",
        "{words}"
    );
    let printed = house.gateway.printed();
    assert!(
        printed.contains("letter waits") && printed.contains("letter withheld"),
        "{printed}"
    );
    assert!(house.visitor().sign_in("101", PASSWORD).await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_welcomes_use_up_nothing_of_the_day_that_resets_need() {
    let house = House::with("[limits]\nmail_per_day = \"1 per 24h\"").await;
    let mut people = Vec::new();
    for extension in ["101", "102", "103"] {
        people.push(house.welcome(extension).await);
    }
    let ask = async |email: &str| {
        let asked = json!({"email": email});
        house.visitor().post_json("/forgot-password", &asked).await.status
    };
    ask(&people[0].email).await;
    house.event("link.sent", Some("reset")).await;
    ask(&people[1].email).await;
    house.event("link.withheld", Some("reset over-budget")).await;
    let printed = house.gateway.printed();
    assert!(
        printed.contains("letter withheld") && printed.contains("mail.day"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_mail_server_is_seen_at_the_link_and_uses_up_no_budget() {
    let house = House::with("[limits]\nmail_per_account = \"1 per 1h\"").await;
    house
        .mailbox
        .behave(Behaviour::RejectRecipient(450, "4.2.0 try later".into()));
    let email = house.invite("101", &[]).await;
    let tried = eventually("two tries", async || {
        let newest = links(&house, "101").await.into_iter().next()?;
        (newest["attempts"].as_u64() >= Some(2)).then_some(newest)
    })
    .await;
    assert_eq!(tried["stage"], "queued");
    assert!(tried["words"].as_str().unwrap().contains("try later"), "{tried}");
    house.mailbox.behave(Behaviour::Accept);
    house.mailbox.next_links(&email).await;
    at_stage(&house, "101", "sent").await;

    house
        .mailbox
        .behave(Behaviour::RejectRecipient(550, "5.1.1 no such user".into()));
    house.invite("102", &[]).await;
    let refused = at_stage(&house, "102", "undelivered").await;
    assert!(refused["words"].as_str().unwrap().contains("no such user"), "{refused}");
}
