//! Bringing many people in from a file, and keeping them in order.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use serde_json::Value;

use crate::harness::gateway::Ran;
use crate::harness::{House, eventually};

/// bcrypt's own published vector: the hash of `abc`, made by another system.
const BCRYPT_OF_ABC: &str = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";

async fn import(house: &House, file: &[u8], more: &[&str]) -> Ran {
    let path = house.gateway.home().join("people.csv");
    fs::write(&path, file).unwrap();
    let mut args = vec!["account", "import", path.to_str().unwrap()];
    args.extend(more);
    house.gateway.cli(&args).await
}

async fn accounts(house: &House) -> Vec<Value> {
    house.gateway.cli_json(&["account", "list", "--json"]).await
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_shows_what_it_would_change_and_changes_it_when_told() {
    let house = House::closed("").await;
    // As a spreadsheet in Japan writes it: CP932, and full-width digits.
    let text = "内線番号,姓,名,メールアドレス,部署,言語\r\n１０１,田中,由紀,yuki@example.com,営業,ja\r\n102,Taylor,Sam,,,en\r\n";
    let bytes: Vec<u8> = encode_cp932(text);
    let shown = import(&house, &bytes, &[]).await.succeeded();
    assert!(
        shown.contains("Read as CP932") && shown.contains("田中 由紀"),
        "{shown}"
    );
    assert!(
        shown.contains("2 new, 0 changed") && shown.contains("--apply"),
        "{shown}"
    );
    assert!(accounts(&house).await.is_empty(), "a dry run changes nothing");

    import(&house, &bytes, &["--apply"]).await.succeeded();
    let stored = accounts(&house).await;
    assert_eq!(
        (&stored[0]["extension"], &stored[0]["name"]),
        (&"101".into(), &"田中 由紀".into())
    );
    assert_eq!(
        (&stored[1]["name"], &stored[1]["language"]),
        (&"Sam Taylor".into(), &"en".into())
    );
    let again = import(&house, &bytes, &["--apply"]).await.succeeded();
    assert!(
        again.contains("2 unchanged") && again.contains("Nothing to change"),
        "{again}"
    );

    let changed = "extension,name,email\n101,田中 由紀,new@example.com\n102,Sam Taylor,sam@example.com\n";
    let report = json(&import(&house, changed.as_bytes(), &["--json", "--apply"]).await);
    assert_eq!(
        (&report["applied"], &report["counts"]["changed"]),
        (&true.into(), &2.into())
    );
    let change = &report["changed"][0]["changes"][0];
    assert_eq!(
        (&change["before"], &change["after"]),
        (&"yuki@example.com".into(), &"new@example.com".into())
    );
    house.gateway.start().await;
    for address in ["yuki@example.com", "new@example.com", "sam@example.com"] {
        house.mailbox.next(address).await;
    }
    house.event("account.changed", Some("email")).await;
}

fn encode_cp932(text: &str) -> Vec<u8> {
    let (bytes, _, unmappable) = encoding_rs::SHIFT_JIS.encode(text);
    assert!(!unmappable);
    bytes.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_line_is_named_and_nothing_is_stored_unless_it_may_be_left_out() {
    let house = House::closed("").await;
    let text = format!(
        "extension,name,email\n101,Yuki,yuki@example.com\n1/2,Bad,\n103,=1+1,\n104,\"Open,x@example.com\n\
         105,A,a@example.com;b@example.com\n106,{},\n107,Twice,\n107,Twice,\n108,Sam,\n",
        "x".repeat(100_000)
    );
    let refused = import(&house, text.as_bytes(), &["--apply"]).await;
    for (line, reason) in [
        ("3 ", "an extension number has"),
        ("4 ", "it looks like a formula"),
        ("5 ", "a quote (\") is opened"),
        ("6 ", "it is not one plain e-mail address"),
        ("7 ", "longer than 64 KiB"),
        ("8 ", "line 9 has the same extension number"),
    ] {
        let named = refused
            .out
            .lines()
            .any(|shown| shown.starts_with(line) && shown.contains(reason));
        assert!(named, "{line}{reason} in {}", refused.out);
    }
    assert!(refused.failed().contains("--skip-refused"));
    assert!(accounts(&house).await.is_empty());

    import(&house, text.as_bytes(), &["--apply", "--skip-refused"])
        .await
        .succeeded();
    let stored: Vec<Value> = accounts(&house)
        .await
        .into_iter()
        .map(|account| account["extension"].clone())
        .collect();
    assert_eq!(stored, ["101", "108"]);
    for (file, says) in [
        ("", "the file is empty"),
        ("a,b\n1,2\n", "--map extension=HEADING"),
        ("extension,name,extension\n", "twice"),
    ] {
        let words = import(&house, file.as_bytes(), &["--apply"]).await.failed();
        assert!(words.contains(says), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_missing_is_signed_out_and_the_last_administrator_stays() {
    let house = House::open().await;
    let admin = house.welcome_with("1", &["--role", "admin"]).await;
    let gone = house.welcome("101").await;
    let visitor = house.signed_in(&gone).await;
    let file = b"extension,name\n102,New\n";
    let report = json(&import(&house, file, &["--sync", "--apply", "--json"]).await);
    let numbers = |kind: &str| -> Vec<Value> {
        let entries = report[kind].as_array().unwrap();
        entries.iter().map(|entry| entry["extension"].clone()).collect()
    };
    assert_eq!(
        (numbers("disabled"), numbers("kept_administrators")),
        (vec!["101".into()], vec!["1".into()])
    );
    eventually("the missing person to be signed out", async || {
        (visitor.get("/").await.status == 303).then_some(())
    })
    .await;
    assert!(house.visitor().sign_in("1", &admin.password).await.is_done());

    let unreadable = import(
        &house,
        b"extension,name\n1,\"x\n",
        &["--sync", "--apply", "--skip-refused"],
    )
    .await;
    assert!(unreadable.failed().contains("who is missing"));
    let many = "extension,name\n".to_owned() + &(200..210).fold(String::new(), |rows, n| rows + &format!("{n},P\n"));
    import(&house, many.as_bytes(), &["--apply"]).await.succeeded();
    let mostly = import(&house, file, &["--sync", "--apply"]).await;
    assert!(mostly.failed().contains("--allow-many"));
}

#[tokio::test(flavor = "multi_thread")]
async fn welcome_letters_leave_one_after_the_other_and_survive_a_power_cut() {
    let house = House::closed("[mail]\nrate = \"4 per 1s\"").await;
    let rows = |from: usize, to: usize| {
        (from..to).fold("extension,name,email\n".to_owned(), |mut rows, number| {
            writeln!(rows, "{number},P,p{number}@example.com").unwrap();
            rows
        })
    };
    let first = import(&house, rows(101, 109).as_bytes(), &["--apply", "--welcome"])
        .await
        .succeeded();
    assert!(
        first.contains("8 Welcome mails") && first.contains("sekisho mail progress"),
        "{first}"
    );
    house.gateway.start().await;
    house.mailbox.wait_for_count(2).await;
    house.gateway.kill();
    // The same file again, with one more: nobody is written to twice.
    let second = import(&house, rows(101, 110).as_bytes(), &["--apply", "--welcome"])
        .await
        .succeeded();
    assert!(
        second.contains("1 new") && second.contains("1 Welcome mail\n"),
        "{second}"
    );
    house.gateway.start().await;
    let progress: Value = house.gateway.cli_json(&["mail", "progress", "--wait", "--json"]).await;
    assert_eq!((&progress["waiting"], &progress["delivered"]), (&0.into(), &9.into()));
    for number in 101..110 {
        let letters = house.mailbox.letters_to(&format!("p{number}@example.com"));
        // A letter under way at the power cut may arrive twice; none is lost.
        assert!((1..=2).contains(&letters.len()), "{number}: {}", letters.len());
    }
    let sent: Vec<Value> = house.gateway.cli_json(&["mail", "list", "--json"]).await;
    assert_eq!(sent.len(), 9);
    let slow = "extension,name,email\n900,P,p900@example.com\n901,P,p901@example.com\n";
    house.gateway.configure("[mail]\nrate = \"1 per 100h\"");
    let refused = import(&house, slow.as_bytes(), &["--apply", "--welcome"]).await;
    assert!(refused.failed().contains("mail.rate"));
    assert_eq!(accounts(&house).await.len(), 9, "all or nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_welcomes_leave_at_the_rate_and_no_reset_waits_behind_them() {
    let house = House::open().await;
    let person = house.welcome("1").await;
    house.gateway.kill();
    let rows = (101..131).fold("extension,name,email\n".to_owned(), |mut rows, number| {
        writeln!(rows, "{number},P,p{number}@example.com").unwrap();
        rows
    });
    // At the rate of the harness all of them are due at once.
    import(&house, rows.as_bytes(), &["--apply", "--welcome"])
        .await
        .succeeded();
    house.gateway.configure("[mail]\nrate = \"1 per 20s\"");
    let more = "extension,name,email\n900,P,p900@example.com\n";
    let planned = import(&house, more.as_bytes(), &["--welcome"]).await.succeeded();
    assert!(planned.contains("At mail.rate the last letter leaves"), "{planned}");
    let before = house.mailbox.letters().len();
    house.gateway.start().await;
    house.mailbox.wait_for_count(before + 2).await;
    house
        .visitor()
        .post_json("/forgot-password", &serde_json::json!({"email": person.email}))
        .await;
    house.event("link.sent", Some("reset")).await;
    let welcomes = house.mailbox.letters().len() - before - 1;
    assert!((2..=4).contains(&welcomes), "{welcomes} left at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_notices_of_an_import_leave_at_the_rate_and_no_reset_waits_behind_them() {
    let house = House::open().await;
    let person = house.welcome("1").await;
    let file = |domain: &str| {
        (101..121).fold("extension,name,email\n".to_owned(), |mut rows, number| {
            writeln!(rows, "{number},P,p{number}@{domain}").unwrap();
            rows
        })
    };
    import(&house, file("example.com").as_bytes(), &["--apply"])
        .await
        .succeeded();
    house.gateway.kill();
    // At the rate of the harness all of them are due at once, two for each person.
    import(&house, file("example.net").as_bytes(), &["--apply"])
        .await
        .succeeded();
    house.gateway.configure("[mail]\nrate = \"1 per 20s\"");
    let before = house.mailbox.letters().len();
    house.gateway.start().await;
    house.mailbox.wait_for_count(before + 1).await;
    // What one person does is no crowd: the notice of it leaves at once, as the reset does.
    house
        .gateway
        .cli(&["account", "change", "101", "--email", "p101@example.org"])
        .await
        .succeeded();
    house.mailbox.next("p101@example.org").await;
    house
        .visitor()
        .post_json("/forgot-password", &serde_json::json!({"email": person.email}))
        .await;
    house.event("link.sent", Some("reset")).await;
    let of_crowd = house.mailbox.letters().len() - before - 3;
    assert!((1..=4).contains(&of_crowd), "{of_crowd} left at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_link_that_an_imported_password_has_overtaken_says_so() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let file = format!("extension,name,email,password_hash\n101,Person 101,{email},{BCRYPT_OF_ABC}\n");
    import(&house, file.as_bytes(), &["--apply"]).await.succeeded();
    let page = house.visitor().follow(&links.in_office).await;
    assert_eq!(page.status, 410, "{page:?}");
    let text = page.text();
    assert!(text.contains("A password has been set in the meantime"), "{text}");
    assert!(!text.contains("newer link") && !text.contains("Person 101"), "{text}");
    house.event("link.refused", Some("link-overtaken")).await;
    let listed: Vec<Value> = house
        .gateway
        .cli_json(&["link", "list", "--account", "101", "--json"])
        .await;
    assert_eq!(listed[0]["stage"], "overtaken", "{listed:?}");
    assert!(house.visitor().sign_in("101", "abc").await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_very_long_name_widens_no_table_for_everybody_and_is_whole_in_json() {
    let house = House::closed("").await;
    let (long, email) = ("田中 ".repeat(33), format!("{}@example.com", "y".repeat(60)));
    let file = format!("extension,name,email\n101,{long},{email}\n102,Sam,s@example.com\n");
    import(&house, file.as_bytes(), &["--apply"]).await.succeeded();
    let listed = house.gateway.cli(&["account", "list"]).await;
    assert!(listed.err.contains("--json"), "{listed:?}");
    let table = listed.succeeded();
    assert!(table.contains("田中…") && table.contains(&email), "{table}");
    assert!(table.lines().all(|line| line.chars().count() < 180), "{table}");
    assert_eq!(accounts(&house).await[0]["name"], long.trim_end());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_another_system_signs_in_and_takes_nobodys_place() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let file = format!(
        "extension,name,password_hash\n101,Person 101,{BCRYPT_OF_ABC}\n102,Sam,{BCRYPT_OF_ABC}\n103,Eve,$6$secret-text\n"
    );
    let ran = import(&house, file.as_bytes(), &["--apply", "--skip-refused"])
        .await
        .succeeded();
    assert!(
        ran.contains("password_hash: ") && ran.contains("1 password hash is not used"),
        "{ran}"
    );
    assert!(!house.gateway.printed().contains("secret-text") && !house.gateway.printed().contains("If6bvum7"));
    assert!(house.visitor().sign_in("102", "abc").await.is_done());
    assert!(!house.visitor().sign_in("101", "abc").await.is_done());
    assert!(house.visitor().sign_in("101", &person.password).await.is_done());
    house.event("password.imported", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_tells_no_secret_and_imports_as_it_was() {
    let house = House::open().await;
    house
        .welcome_with("101", &["--group", "営業", "--group", "sales"])
        .await;
    let evil = ["account", "add", "102", "--name", "=cmd|' /C calc'!A0", "--no-welcome"];
    house.gateway.cli(&evil).await.succeeded();
    let before = accounts(&house).await;
    let file = house.gateway.home().join("export.csv");
    house
        .gateway
        .cli(&["account", "export", file.to_str().unwrap()])
        .await
        .succeeded();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"営業,sales\"") && text.contains("'=cmd"), "{text}");
    assert!(!text.contains("argon2") && !text.contains(",=cmd"), "{text}");
    house
        .gateway
        .cli(&["account", "export", file.to_str().unwrap()])
        .await
        .failed();

    let ran = import(&house, text.as_bytes(), &["--sync", "--apply"])
        .await
        .succeeded();
    assert!(
        ran.contains("2 unchanged") && ran.contains("Nothing to change"),
        "{ran}"
    );
    assert_eq!(accounts(&house).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn lint_says_what_to_put_in_order_and_how() {
    let house = House::closed("").await;
    let clean = house.gateway.cli(&["account", "lint"]).await.succeeded();
    assert_eq!(clean.trim(), "Everything is in order.");
    let file =
        "extension,name,email\n101,Yuki Tanaka,team@例え.jp\n102,Yuki T\u{430}naka,TEAM@xn--r8jz45g.jp\n103,Sam,\n";
    import(&house, file.as_bytes(), &["--apply"]).await.succeeded();
    let found = house.gateway.cli(&["account", "lint", "--json"]).await;
    assert_eq!(found.code, Some(3), "{found:#?}");
    let found: Vec<Value> = serde_json::from_str(&found.out).unwrap();
    let kinds: BTreeSet<&str> = found.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        BTreeSet::from(["shared-email", "no-email", "never-activated", "look-alike"])
    );
    let shared = found.iter().find(|finding| finding["kind"] == "shared-email").unwrap();
    assert_eq!(
        shared["extensions"],
        serde_json::json!(["101", "102"]),
        "one domain in two spellings"
    );
    assert!(
        found
            .iter()
            .all(|finding| !finding["remedy"].as_str().unwrap().is_empty())
    );
    let table = house.gateway.cli(&["account", "lint"]).await;
    assert!(table.out.contains("101 Yuki Tanaka, 102"), "{}", table.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_one_however_it_is_spelt() {
    let house = House::open().await;
    let file = format!("extension,name,email,password_hash\n101,Yuki,Yuki@例え.jp,{BCRYPT_OF_ABC}\n");
    import(&house, file.as_bytes(), &["--apply"]).await.succeeded();
    for spelling in [
        "yuki@例え.jp",
        "YUKI@XN--R8JZ45G.JP",
        "ｙｕｋｉ＠例え。jp",
        "１０１",
        " 1 0 1\u{200b}",
    ] {
        assert!(house.visitor().sign_in(spelling, "abc").await.is_done(), "{spelling}");
    }
    let shared = "extension,name,email\n102,Sam,yuki@xn--r8jz45g.jp\n";
    import(&house, shared.as_bytes(), &["--apply"]).await.succeeded();
    assert!(
        !house.visitor().sign_in("yuki@例え.jp", "abc").await.is_done(),
        "it is shared now"
    );
    assert!(
        house.visitor().sign_in("101", "abc").await.is_done(),
        "the number keeps working"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_people_come_in_at_once() {
    let house = House::closed("").await;
    let mut text = "extension,name,email,groups\n".to_owned();
    for number in 10_000..20_000 {
        writeln!(
            text,
            "{number},Person {number},p{number}@example.com,\"all,g{}\"",
            number % 30
        )
        .unwrap();
    }
    let report = json(&import(&house, text.as_bytes(), &["--apply", "--welcome", "--json"]).await);
    assert_eq!(
        (&report["counts"]["new"], &report["counts"]["welcome"]),
        (&10_000.into(), &10_000.into())
    );
    let stored = accounts(&house).await;
    let unlike = stored.iter().enumerate().find(|(index, account)| {
        let number = 10_000 + index;
        account["extension"] != number.to_string().as_str()
            || account["email"] != format!("p{number}@example.com").as_str()
            || account["groups"] != serde_json::json!(["all", format!("g{}", number % 30)])
    });
    assert_eq!((stored.len(), unlike), (10_000, None));
    let progress: Value = house.gateway.cli_json(&["mail", "progress", "--json"]).await;
    assert_eq!(progress["waiting"], 10_000);
    let again = json(&import(&house, text.as_bytes(), &["--sync", "--apply", "--welcome", "--json"]).await);
    assert_eq!(
        (&again["counts"]["unchanged"], &again["counts"]["welcome"]),
        (&10_000.into(), &0.into())
    );
}
