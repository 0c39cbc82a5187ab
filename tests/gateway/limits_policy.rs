//! The policy of the limits under a running gateway: a file of its own, taken up or refused as a whole, tried out, promoted
//! and taken back.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{House, OTHER_PASSWORD, eventually, quotas};
use crate::metrics::value;

const TIGHT: [(&str, &str); 1] = [("sign-in.client+account", "2 per 1h")];

/// A gateway with these rules, and the place of a policy on trial.
async fn with(rules: &[(&str, &str)]) -> House {
    House::with(&format!("[limits]\ncandidate = \"candidate.toml\"\n{}", quotas(rules))).await
}

fn candidate(house: &House) -> PathBuf {
    house.gateway.home().join("candidate.toml")
}

/// A wrong password; the status of its answer.
async fn guess(house: &House, login: &str) -> u16 {
    let body = json!({ "login": login, "password": OTHER_PASSWORD });
    house.visitor().post_json("/login", &body).await.status
}

/// What so many wrong passwords at one name are answered.
async fn guesses(house: &House, login: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(guess(house, login).await);
    }
    statuses
}

/// The file with this text, as an editor leaves it: another file under the same name.
fn put(path: &std::path::Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

async fn details(house: &House, name: &str) -> Vec<String> {
    let events = house.events().await;
    let named = events.iter().rev().filter(|event| event["name"] == name);
    named
        .map(|event| event["detail"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_taken_up_by_itself_and_what_was_counted_stays() {
    let house = with(&[("sign-in.client+account", "3 per 1h")]).await;
    assert_eq!(guesses(&house, "901", 2).await, [401, 401]);
    let policy = fs::read_to_string(house.gateway.policy()).unwrap();
    put(&house.gateway.policy(), &policy.replace("3 per 1h", "2 per 1h"));
    house
        .event("limits.taken-up", Some("file: policy: sign-in.client+account changed"))
        .await;
    assert_eq!(guess(&house, "901").await, 429, "two were counted before");
    assert_eq!(guesses(&house, "902", 3).await, [401, 401, 429]);
    house.gateway.configure(&quotas(&[("pages.client", "5 per 1h")]));
    eventually("the gateway's own pages to be limited anew", async || {
        (house.visitor().fetch("/login").await.status == 429).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_policy_is_refused_with_line_and_reason_and_the_old_one_stays() {
    let house = with(&TIGHT).await;
    let good = fs::read_to_string(house.gateway.policy()).unwrap();
    let wrong = "preset = \"relaxed\"\n[[rule]]\nname = \"sign-in.client+account\"\nquota = \"often\"\n[[rule]]\nname = \"x\"\n";
    put(&house.gateway.policy(), wrong);
    house.event("limits.refused", Some("file: policy: 4")).await;
    let log = house.gateway.printed();
    for words in [
        "limits.toml:4: rule sign-in.client+account, quota: ",
        "limits.toml:5: rule x, endpoint: it is missing",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
    assert_eq!(guesses(&house, "901", 3).await, [401, 401, 429]);
    let refused = "sekisho_limits_refused{file=\"policy\"}";
    assert!(value(&house, refused).await > 0.0);

    let ran = house.gateway.cli(&["reload"]).await;
    assert!(ran.code == Some(1) && ran.err.contains("limits.toml:4: "), "{ran:?}");
    let ran = house.gateway.cli(&["config", "check"]).await;
    assert!(ran.code == Some(1) && ran.err.contains("limits.toml:4: "), "{ran:?}");
    let ran = house.gateway.cli(&["limits", "check"]).await;
    assert!(ran.code == Some(1) && ran.err.lines().count() == 4, "{ran:?}");

    // What is wrong with it keeps nobody from changing the rest of the configuration.
    house.gateway.configure("[branding]\nname = \"Phones\"");
    house.event("config.taken-up", Some("file: branding.name")).await;
    assert_eq!(guess(&house, "901").await, 429);

    fs::remove_file(house.gateway.policy()).unwrap();
    house.event("limits.refused", Some("file: policy: 1")).await;
    assert_eq!(guess(&house, "901").await, 429, "a file that is gone opens no door");

    put(&house.gateway.policy(), &good);
    eventually("the policy to be right again", async || {
        (value(&house, refused).await < 1.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_start_with_a_wrong_policy() {
    let house = House::closed("[limits]\ncandidate = \"candidate.toml\"").await;
    let good = fs::read_to_string(house.gateway.policy()).unwrap();
    for (policy, trial, words) in [
        ("preset = \"strickt\"", "preset = \"strict\"", "limits.toml:1: preset: "),
        (
            "# nothing",
            "preset = \"strict\"",
            "limits.toml: it has neither a preset nor a rule",
        ),
    ] {
        put(&house.gateway.policy(), policy);
        put(&candidate(&house), trial);
        let ran = house.gateway.cli(&["serve"]).await;
        assert!(ran.code == Some(1) && ran.err.contains(words), "{words}: {ran:?}");
        assert_eq!(house.gateway.cli(&["config", "check"]).await.code, Some(1), "{words}");
    }
    // A candidate stops nobody and no start.
    put(&house.gateway.policy(), &good);
    put(&candidate(&house), "exempt = 7\npreset = \"strict\"");
    let checked = house.gateway.cli(&["config", "check"]).await;
    assert!(
        checked.code == Some(1) && checked.err.contains("candidate.toml:1: exempt: "),
        "{checked:?}"
    );
    house.gateway.start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_file_the_preset_is_in_force() {
    let house = House::closed("").await;
    let config = fs::read_to_string(house.gateway.config()).unwrap();
    let without: Vec<_> = config.lines().filter(|line| !line.starts_with("policy = ")).collect();
    fs::write(house.gateway.config(), without.join("\n")).unwrap();
    fs::remove_file(house.gateway.policy()).unwrap();
    house.gateway.start().await;
    let statuses = guesses(&house, "901", 11).await;
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10], 429);
    let said = house.gateway.cli(&["limits", "check"]).await.succeeded();
    assert!(said.ends_with("The preset standard is in order.\n"), "{said}");
    let ran = house.gateway.cli(&["limits", "promote"]).await;
    assert!(
        ran.failed().contains("limits.policy"),
        "there is no file to put it into"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_exempt_is_counted_by_no_rule() {
    let rules = quotas(&[("sign-in.client+account", "2 per 1h"), ("pages.client", "20 per 1h")]);
    let house = House::with(&format!(
        "exempt = [{{ network = \"127.0.0.0/8\", reason = \"this machine\" }}]\n{rules}"
    ))
    .await;
    assert_eq!(guesses(&house, "901", 15).await, [401; 15]);
    let said = house.gateway.cli(&["limits", "check"]).await.succeeded();
    assert!(said.contains("No rule counts 127.0.0.0/8: this machine."), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_stops_nobody_until_it_is_promoted_and_a_revert_goes_back() {
    let house = with(&[("sign-in.client+account", "1000 per 1h")]).await;
    let none = house.gateway.cli(&["limits", "promote"]).await;
    assert!(none.failed().contains("candidate.toml does not exist"));
    let policy = fs::read_to_string(house.gateway.policy()).unwrap();
    put(&candidate(&house), &policy.replace("1000 per 1h", "2 per 1h"));
    house.event("limits.taken-up", None).await;
    assert_eq!(guesses(&house, "901", 5).await, [401; 5], "it is on trial");

    let ran = house.gateway.cli(&["limits", "diff"]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(ran.out, "~ sign-in.client+account: quota 1000 per 1h -> 2 per 1h\n");

    let said = house.gateway.cli(&["limits", "promote"]).await.succeeded();
    assert!(said.ends_with("limits.toml is in force.\n"), "{said}");
    assert_eq!(guesses(&house, "902", 3).await, [401, 401, 429], "at once");
    assert!(!candidate(&house).exists());
    assert_eq!(
        fs::read_to_string(house.gateway.home().join("limits.toml.before")).unwrap(),
        policy
    );

    let reverted: Value = house.gateway.cli_json(&["limits", "revert", "--json"]).await;
    assert_eq!(reverted["difference"]["rules"][0]["after"]["quota"], "1000 per 1h");
    assert_eq!(guesses(&house, "903", 3).await, [401; 3], "as before");
    assert_eq!(
        details(&house, "limits.promoted").await,
        ["sign-in.client+account changed"]
    );
    assert_eq!(
        details(&house, "limits.reverted").await,
        ["sign-in.client+account changed"]
    );

    put(&candidate(&house), "preset = \"strickt\"");
    let ran = house.gateway.cli(&["limits", "promote"]).await;
    assert!(
        ran.code == Some(1) && ran.err.contains("candidate.toml:1: preset: "),
        "{ran:?}"
    );
    assert_eq!(fs::read_to_string(house.gateway.policy()).unwrap(), policy);
    assert_eq!(guesses(&house, "904", 3).await, [401; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_looked_over_and_swapped_where_no_gateway_runs() {
    let house = House::closed("[limits]\ncandidate = \"candidate.toml\"").await;
    put(&candidate(&house), "preset = \"strict\"");
    let said = house.gateway.cli(&["limits", "promote"]).await.succeeded();
    assert!(said.contains("no gateway is running"), "{said}");
    let strict: Value = house.gateway.cli_json(&["limits", "check", "--json"]).await;
    assert_eq!(strict["preset"], "strict");
    assert_eq!(strict["statements"][0]["allowed"]["an_hour"], 30);
    assert_eq!(house.gateway.cli(&["limits", "diff", "strict"]).await.code, Some(0));
    let japanese = house
        .gateway
        .cli(&["limits", "check", "--lang", "ja"])
        .await
        .succeeded();
    assert!(japanese.contains("1時間に30回、1日に720回"), "{japanese}");
    let example = house.gateway.cli(&["limits", "example"]).await.succeeded();
    put(&candidate(&house), &example);
    let ran = house.gateway.cli(&["limits", "diff", "candidate.toml"]).await;
    assert!(
        ran.code == Some(3) && ran.out.contains("~ sign-in.client: quota 20 per 15m -> 30 per 15m"),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counts_a_request_is_explained_by_the_policy_in_force() {
    let house = House::closed(&quotas(&TIGHT)).await;
    let ran = house
        .gateway
        .cli(&["explain", "--url", "https://in.test/login"])
        .await
        .succeeded();
    assert!(ran.contains("sign-in.client+account"), "{ran}");
    assert!(ran.contains("2 per 1h"), "{ran}");
    assert!(ran.contains("pages.client"), "{ran}");
}
