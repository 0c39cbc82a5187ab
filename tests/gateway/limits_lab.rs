//! The limits lab: what was tried at a running gateway, tried again on other policies.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, House, OTHER_PASSWORD, PASSWORD, eventually, quotas};

async fn guess(house: &House, login: &str, password: &str) -> Answer {
    let body = json!({"login": login, "password": password});
    house.visitor().post_json("/login", &body).await
}

/// A replay, once so many attempts to sign in are written down.
async fn replayed(house: &House, attempts: u64, more: &[&str]) -> Value {
    let args = [&["limits", "replay", "--since", "1h", "--json"], more].concat();
    eventually(&format!("{attempts} attempts in the store"), async || {
        let told: Value = house.gateway.cli_json(&args).await;
        (told["recorded"]["attempts"].as_u64().unwrap() >= attempts).then_some(told)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_at_a_running_gateway_get_the_same_verdicts_when_they_are_replayed() {
    let house = House::closed(&quotas(&[("sign-in.client+account", "3 per 1h")])).await;
    let tight = house.gateway.home().join("tight.toml");
    fs::write(
        &tight,
        format!(
            "preset = \"standard\"\n{}",
            quotas(&[("sign-in.client+account", "2 per 1h"), ("sign-in.client", "9 per 1h")])
        ),
    )
    .unwrap();
    house.gateway.configure("[limits]\ncandidate = \"tight.toml\"");
    house.gateway.start().await;
    let sam = house.welcome("101").await;
    house.welcome("102").await;

    // Wrong and right passwords, one after another and all at once, for names that exist and names that do not.
    let mut tried = 0;
    for (login, password) in [
        ("101", OTHER_PASSWORD),
        ("101", PASSWORD),
        ("101", OTHER_PASSWORD),
        ("101", OTHER_PASSWORD),
        ("101", PASSWORD),
        ("101", OTHER_PASSWORD),
        ("102", PASSWORD),
        ("nobody", OTHER_PASSWORD),
    ] {
        guess(&house, login, password).await;
        tried += 1;
    }
    let at_once = (0..20).map(|n| {
        let login = if n % 3 == 0 { "102".to_owned() } else { format!("90{n}") };
        let house = &house;
        async move { guess(house, &login, OTHER_PASSWORD).await.status }
    });
    let statuses = futures_util::future::join_all(at_once).await;
    tried += 20;
    assert!(statuses.contains(&429) && statuses.contains(&401), "{statuses:?}");
    let signed_in = house.visitor().sign_in(&sam.extension, PASSWORD).await;
    assert_eq!(
        signed_in.status, 429,
        "101 has been guessed at from here: {signed_in:?}"
    );
    tried += 1;

    let told = replayed(&house, tried, &["--policy", tight.to_str().unwrap()]).await;
    let (recorded, active) = (&told["recorded"], &told["active"]);
    assert_eq!(active["agreement"]["other"], 0, "{told:#}");
    assert!(active["agreement"]["same"].as_u64().unwrap() >= tried);
    for figure in [
        "attempts",
        "refused",
        "rules",
        "people",
        "guesses",
        "addresses",
        "worst",
        "series",
    ] {
        assert_eq!(active[figure], recorded[figure], "{figure}");
    }
    assert!(active["refused"].as_u64().unwrap() > 3);

    let (on_trial, tight) = (&told["on_trial"], &told["tried"]);
    for figure in ["attempts", "refused", "rules", "people", "guesses"] {
        assert_eq!(tight[figure], on_trial[figure], "{figure}: {told:#}");
    }
    assert!(tight["refused"].as_u64() > active["refused"].as_u64());
    let again = replayed(&house, tried, &["--policy", "tight.toml"]).await;
    assert_eq!(again["active"], told["active"], "a replay comes to the same each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_typed_is_in_the_attempts() {
    let house = House::open().await;
    house.welcome("101").await;
    let (name, password) = ("somebody-invented-4711", "a password that nobody has 4711");
    for _ in 0..3 {
        guess(&house, name, password).await;
        guess(&house, "101", password).await;
    }
    replayed(&house, 6, &[]).await;
    assert!(house.gateway.stop().await.success());
    for (file, bytes) in house.gateway.stored() {
        for typed in [name, password] {
            let found = bytes.windows(typed.len()).any(|part| part == typed.as_bytes());
            assert!(!found, "{typed:?} is in {}", file.display());
        }
    }
    let out = house.gateway.cli(&["limits", "replay", "--json"]).await.succeeded();
    assert!(!out.contains("4711"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_survive_a_stop_and_are_kept_only_where_somebody_wants_them() {
    let house = House::open().await;
    house.welcome("101").await;
    for _ in 0..5 {
        guess(&house, "101", OTHER_PASSWORD).await;
    }
    // What waits for its second is written down at the stop.
    house.gateway.restart().await;
    let told = replayed(&house, 5, &[]).await;
    let before = told["recorded"]["attempts"].as_u64().unwrap();

    house.gateway.configure("[limits]\nkeep_attempts = \"0s\"");
    house.gateway.restart().await;
    // A sweep at the start removes what nobody wants any more.
    eventually("the attempts to be gone", async || {
        let told: Value = house.gateway.cli_json(&["limits", "replay", "--json"]).await;
        (told["recorded"]["attempts"] == 0).then_some(())
    })
    .await;
    assert!(before >= 5);
    for _ in 0..5 {
        guess(&house, "101", OTHER_PASSWORD).await;
    }
    assert!(house.gateway.stop().await.success());
    let told: Value = house.gateway.cli_json(&["limits", "replay", "--json"]).await;
    assert_eq!(told["recorded"]["attempts"], 0);
}

/// A morning in an office, and somebody who guesses.
fn morning() -> String {
    use std::fmt::Write as _;

    let mut text = "ts,ip,who,result\n".to_owned();
    for person in 0..40 {
        let start = 1_769_817_600 + person * 20;
        for wrong in 0..person % 5 {
            writeln!(text, "{},198.51.100.7,p{person},no", start + wrong * 3).unwrap();
        }
        writeln!(text, "{},198.51.100.7,p{person},yes", start + 30).unwrap();
    }
    for n in 0..600 {
        writeln!(text, "{},203.0.113.{},p1,no", 1_769_817_600 + n * 5, n % 6).unwrap();
    }
    text
}

const MAP: [&str; 12] = [
    "--map",
    "time=ts",
    "--map",
    "client=ip",
    "--map",
    "account=who",
    "--map",
    "outcome=result",
    "--map",
    "succeeded=yes",
    "--map",
    "failed=no",
];

#[tokio::test(flavor = "multi_thread")]
async fn another_systems_log_is_tried_without_a_gateway_and_reported_in_both_languages() {
    let house = House::closed("").await;
    let home = house.gateway.home().to_owned();
    fs::write(home.join("morning.csv"), morning()).unwrap();
    let from = ["--from", "morning.csv", "--active", "standard"];
    let all = [
        &["limits", "replay", "--policy", "strict", "--json"],
        &from[..],
        &MAP[..],
    ]
    .concat();
    let told: Value = house.gateway.cli_json(&all).await;
    assert_eq!(told["recorded"], Value::Null);
    assert_eq!(told["active"]["people"]["seen"], 40);
    let refused = |side: &str| told[side]["refused"].as_u64().unwrap();
    assert!(
        refused("tried") > refused("active") && refused("active") > 0,
        "{told:#}"
    );

    for (lang, words) in [("en", "Side by side"), ("ja", "比較")] {
        let report = home.join(format!("{lang}.html"));
        let args = [
            &[
                "limits",
                "replay",
                "--policy",
                "strict",
                "--lang",
                lang,
                "--report",
                report.to_str().unwrap(),
            ],
            &from[..],
            &MAP[..],
        ]
        .concat();
        let out = house.gateway.cli(&args).await.succeeded();
        assert!(out.contains("of them stopped before"), "{out}");
        let html = fs::read_to_string(&report).unwrap();
        assert!(
            html.contains(words) && html.contains("<svg") && !html.contains("://"),
            "{html}"
        );
        assert_eq!(report.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    let args = [
        &[
            "limits",
            "sweep",
            "--rule",
            "sign-in.client+account",
            "--policy",
            "standard",
            "--quota",
            "8..10",
            "--per",
            "15m..30m",
        ],
        &from[..2],
        &MAP[..],
    ]
    .concat();
    let out = house.gateway.cli(&args).await.succeeded();
    assert!(out.contains("◆ the knee"), "{out}");
    let args = [&["limits", "suggest", "--policy", "relaxed"], &from[..2], &MAP[..]].concat();
    let out = house.gateway.cli(&args).await.succeeded();
    assert!(
        out.contains("[[rule]]\nname = \"sign-in.") && out.contains("Together:"),
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_bad_lines_is_refused_with_each_of_them_unless_they_are_left_out() {
    let house = House::closed("").await;
    let file = house.gateway.home().join("bad.csv");
    fs::write(
        &file,
        "time,client,account,outcome\n1,192.0.2.1,a,ok\nnever,192.0.2.1,a,ok\n2,nowhere,a,ok\n",
    )
    .unwrap();
    fs::write(
        house.gateway.home().join("pages.log"),
        "192.0.2.1 - - [31/Jan/2026:09:00:00 +0000] \"POST /signin HTTP/1.1\" 200 5 \"-\" \"-\"\n",
    )
    .unwrap();
    let args = ["limits", "replay", "--from", "bad.csv", "--active", "standard"];
    let refused = house.gateway.cli(&args).await;
    assert_eq!(refused.code, Some(1));
    for words in [
        "bad.csv:3: \"never\" is no time",
        "bad.csv:4: \"nowhere\" is no client address",
        "--skip-refused",
    ] {
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    let args = [&args[..], &["--skip-refused", "--json"]].concat();
    let told: Value = house.gateway.cli_json(&args).await;
    assert_eq!(told["active"]["attempts"], 1);
    for (args, words) in [
        (
            ["limits", "replay", "--from", "gone.csv", "--active", "standard"],
            "could not read gone.csv",
        ),
        (
            ["limits", "replay", "--from", "pages.log", "--format", "nginx"],
            "--map path=/signin",
        ),
        (
            ["limits", "replay", "--from", "bad.csv", "--active", "gone.toml"],
            "neither a preset",
        ),
        (
            ["limits", "sweep", "--rule", "sign-in.password", "--policy", "standard"],
            "nothing is recorded of passwords",
        ),
        (
            ["limits", "sweep", "--rule", "no-such-rule", "--policy", "standard"],
            "has no rule no-such-rule; there are sign-in.client",
        ),
    ] {
        let failed = house.gateway.cli(&args).await;
        assert!(
            failed.code == Some(1) && failed.err.contains(words),
            "{words}: {failed:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_played_through_and_comes_to_the_same_each_time() {
    let house = House::closed("").await;
    for attack in ["spray", "stuffing", "targeted", "lockout"] {
        let args = [
            "limits",
            "simulate",
            attack,
            "--against",
            "standard",
            "--accounts",
            "50",
            "--addresses",
            "10",
            "--pace",
            "60",
            "--json",
        ];
        let one: Value = house.gateway.cli_json(&args).await;
        let other: Value = house.gateway.cli_json(&args).await;
        assert_eq!(one, other, "{attack}");
        assert_eq!(
            one["owner"]["known"], 24,
            "nobody keeps the owner out at her own browser: {one:#}"
        );
    }
    let limit = Duration::from_mins(1);
    let told = tokio::time::timeout(limit, house.gateway.cli(&["limits", "simulate", "targeted"])).await;
    assert!(told.unwrap().succeeded().contains("Stopped by"));
}
