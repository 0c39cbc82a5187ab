//! Passwords and their hashes: those of other systems, peppers that change, rules and lists, and the cost of hashing.

use std::fs;

use sekisho::crypto::foreign::judge;
use sekisho::domain::account::LoginName;
use sekisho::domain::password::PasswordHash;
use sekisho::ports::Accounts;
use sekisho::store::SqliteStore;
use serde_json::{Value, json};

use crate::harness::{House, OTHER_PASSWORD, PASSWORD, eventually};

/// The hash that the store holds for an extension number.
async fn stored(house: &House, extension: &str) -> String {
    let store = SqliteStore::open(&house.gateway.home().join("store")).await.unwrap();
    let name = LoginName::parse(extension).unwrap();
    let credential = store.credential(&name).await.unwrap().unwrap();
    store.close().await;
    credential.hash.unwrap().expose().to_owned()
}

/// Puts a hash in the place of the one that is there, as an import does.
async fn store_hash(house: &House, extension: &str, hash: &PasswordHash) {
    let store = SqliteStore::open(&house.gateway.home().join("store")).await.unwrap();
    let name = LoginName::parse(extension).unwrap();
    let credential = store.credential(&name).await.unwrap().unwrap();
    let old = credential.hash.unwrap();
    store.rehash(credential.account.id, &old, hash).await.unwrap();
    store.close().await;
}

async fn peppers(house: &House) -> Vec<Value> {
    house.gateway.cli_json(&["key", "list", "pepper", "--json"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_of_another_system_lets_its_owner_in_and_is_ours_from_then_on() {
    let house = House::open().await;
    house.welcome("101").await;
    for (password, foreign) in [
        ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("secret", "{SSHA}DkMTwBl+a/3DQTxCYEApdUtNXGgdUac3"),
        (
            "password",
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        ),
        (
            "lètmein",
            "pbkdf2_sha256$12000$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s=",
        ),
    ] {
        store_hash(&house, "101", &judge(foreign).unwrap()).await;
        let imported = peppers(&house).await;
        assert!(
            imported
                .iter()
                .any(|entry| entry["kind"] == "imported" && entry["accounts"] == 1),
            "{imported:?}"
        );
        let wrong = house.visitor().sign_in("101", "not this one").await;
        assert_eq!(wrong.status, 401, "{foreign}: {wrong:?}");
        assert_eq!(stored(&house, "101").await, foreign, "a wrong password changes nothing");
        assert!(house.visitor().sign_in("101", password).await.is_done(), "{foreign}");
        let ours = stored(&house, "101").await;
        assert!(ours.starts_with("$argon2id$v=19$m=8192,t=1,p=1,keyid="), "{ours}");
        assert!(
            house.visitor().sign_in("101", password).await.is_done(),
            "{foreign}: with our own hash"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_asks_for_too_much_opens_nothing_and_disturbs_nobody() {
    let house = House::open().await;
    house.welcome("101").await;
    house.welcome("102").await;
    let bomb = "$scrypt$ln=30,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E";
    store_hash(&house, "101", &PasswordHash::from_phc(bomb.to_owned())).await;
    let refused = house.visitor().sign_in("101", "password").await;
    assert!(refused.status >= 500, "{refused:?}");
    assert!(
        !refused.text().contains("scrypt") && !refused.text().contains("nFNh2"),
        "{refused:?}"
    );
    assert!(house.visitor().sign_in("102", PASSWORD).await.is_done());
    let said = house.gateway.printed();
    assert!(
        said.contains("at most") && !said.contains("nFNh2"),
        "the operator learns why, and no hash"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pepper_is_rotated_under_a_running_server_and_the_old_one_goes_when_nobody_rests_on_it() {
    let house = House::open().await;
    house.welcome("101").await;
    house.welcome("102").await;
    let before = peppers(&house).await;
    assert_eq!(before.len(), 1);
    let first = before[0]["name"].as_str().unwrap().to_owned();
    assert_eq!(
        before[0],
        json!({ "kind": "pepper", "name": first, "state": "current", "accounts": 2, "may_be_dropped": false })
    );

    let said = house.gateway.cli(&["key", "rotate", "pepper"]).await.succeeded();
    let after = peppers(&house).await;
    let second = after[0]["name"].as_str().unwrap().to_owned();
    assert!(
        second != first && said.contains(&second) && said.contains(&format!("pepper.{first}")),
        "{said}"
    );
    assert_eq!((&after[1]["state"], &after[1]["accounts"]), (&"kept".into(), &2.into()));
    house.event("pepper.rotated", Some(&second)).await;

    eventually("the running server to take the new pepper up", async || {
        assert!(
            house.visitor().sign_in("101", PASSWORD).await.is_done(),
            "the old one still verifies"
        );
        let moved = stored(&house, "101").await.contains(&format!("keyid={second}"));
        moved.then_some(())
    })
    .await;
    let refused = house.gateway.cli(&["key", "drop", &first]).await.failed();
    assert!(refused.contains("1 account(s) rest on"), "{refused}");
    let current = house.gateway.cli(&["key", "drop", &second]).await.failed();
    assert!(current.contains("in use"), "{current}");

    // A third pepper while somebody still rests on the first.
    house.gateway.cli(&["key", "rotate", "pepper"]).await.succeeded();
    house.gateway.restart().await;
    assert!(
        house.visitor().sign_in("102", PASSWORD).await.is_done(),
        "two peppers later"
    );
    let table = house.gateway.cli(&["key", "list"]).await.succeeded();
    assert!(table.contains("signs now") && table.contains("may go"), "{table}");
    house.gateway.cli(&["key", "drop", &first]).await.succeeded();
    house.event("pepper.dropped", Some(&first)).await;
    assert!(
        peppers(&house)
            .await
            .iter()
            .all(|entry| entry["name"] != first.as_str())
    );
    for extension in ["101", "102"] {
        assert!(house.visitor().sign_in(extension, PASSWORD).await.is_done());
    }
    for (path, bytes) in house.gateway.stored() {
        for name in fs::read_dir(house.gateway.home().join("secrets")).unwrap() {
            let secret = fs::read_to_string(name.unwrap().path()).unwrap();
            let secret = secret.trim().as_bytes();
            assert!(
                !bytes.windows(secret.len()).any(|part| part == secret),
                "{}",
                path.display()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_pepper_stops_the_start_with_its_name_and_a_running_server_goes_on() {
    let house = House::open().await;
    house.welcome("101").await;
    let file = house.gateway.home().join("secrets/pepper");
    let away = house.gateway.home().join("pepper.away");
    fs::rename(&file, &away).unwrap();
    eventually("the log to name it", async || {
        house.gateway.printed().contains("pepper is missing").then_some(())
    })
    .await;
    assert!(
        house.visitor().sign_in("101", PASSWORD).await.is_done(),
        "it is still in memory"
    );
    assert!(house.gateway.stop().await.success());
    let refused = house.gateway.cli(&["serve"]).await.failed();
    assert!(refused.contains("pepper is missing"), "{refused}");
    assert!(!file.exists(), "it is never replaced by another");
    let refused = house.gateway.cli(&["key", "rotate", "pepper"]).await.failed();
    assert!(refused.contains("pepper is missing"), "{refused}");
    fs::rename(&away, &file).unwrap();
    house.gateway.start().await;
    assert!(house.visitor().sign_in("101", PASSWORD).await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_systems_rule_is_told_all_at_once_in_both_languages_and_can_be_met() {
    let house = House::with("[passwords]\npreset = \"phone-system\"").await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let visitor = house.visitor();
    let refused = visitor.set_password(&links.in_office, "quiet").await;
    assert_eq!(refused.status, 422, "{refused:?}");
    for said in [
        "at least 10 characters",
        "Add an upper-case letter",
        "Add a digit",
        "Add a special character",
        "data-rule=\"upper\"",
    ] {
        assert!(refused.text().contains(said), "{said}: {refused:?}");
    }
    assert!(!refused.text().contains("Add a lower-case letter"), "{refused:?}");
    let japanese = visitor.get("/set-password?lang=ja").await;
    assert!(japanese.text().contains("英大文字（A～Z）を含む"), "{japanese:?}");
    assert!(visitor.set_password(&links.in_office, "Quiet-rivers4").await.is_done());
    assert!(house.visitor().sign_in("101", "Quiet-rivers4").await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn common_and_listed_passwords_are_refused_and_a_damaged_list_stops_the_start() {
    let house = House::closed("").await;
    let home = house.gateway.home().to_owned();
    // Words, and a line as breach lists have them: the SHA-1 of "password", and how often it was seen.
    let list = format!("some other word\n5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:17\n{OTHER_PASSWORD}\n");
    fs::write(home.join("list.txt"), list).unwrap();
    let built: Value = house
        .gateway
        .cli_json(&["passwords", "build", "list.txt", "-o", "known.filter", "--json"])
        .await;
    assert_eq!(
        (&built["passwords"], &built["left_out"]),
        (&3.into(), &0.into()),
        "{built}"
    );
    let filter = home.join("known.filter");
    house
        .gateway
        .configure(&format!("[passwords]\nblocklist = [{:?}]", filter.to_str().unwrap()));
    house.gateway.start().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let visitor = house.visitor();
    for common in [OTHER_PASSWORD, "Sakura-2024!!", "arigatou12345", "パスワード12345678"] {
        let refused = visitor.set_password(&links.in_office, common).await;
        assert_eq!(refused.status, 422, "{common}: {refused:?}");
        assert!(
            refused.text().contains("This is a common password"),
            "{common}: {refused:?}"
        );
    }
    assert!(visitor.set_password(&links.in_office, PASSWORD).await.is_done());

    assert!(house.gateway.stop().await.success());
    let mut bytes = fs::read(&filter).unwrap();
    let last = bytes.len() - 40;
    bytes[last] ^= 1;
    fs::write(&filter, bytes).unwrap();
    let checked = house.gateway.cli(&["config", "check"]).await;
    assert_eq!(
        checked.code,
        Some(1),
        "the check says what the start would: {checked:?}"
    );
    assert!(checked.err.contains("passwords.blocklist") && checked.err.contains("sekisho passwords build"));
    let refused = house.gateway.cli(&["serve"]).await.failed();
    assert!(
        refused.contains("known.filter") && refused.contains("sekisho passwords build"),
        "{refused}"
    );
    fs::remove_file(&filter).unwrap();
    let checked = house.gateway.cli(&["config", "check"]).await;
    assert_ne!(checked.code, Some(0), "{checked:?}");
    assert!(
        checked.err.contains("passwords.blocklist") || checked.out.contains("passwords.blocklist"),
        "{checked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tuning_proposes_what_can_be_pasted_or_says_what_is_missing() {
    let house = House::closed("").await;
    let tune = async |memory: &str, peak: &str| {
        house
            .gateway
            .cli(&[
                "hash",
                "tune",
                "--memory",
                memory,
                "--p95",
                "20s",
                "--peak",
                peak,
                "--threads",
                "1",
                "--json",
            ])
            .await
    };
    let proposed: Value = serde_json::from_str(&tune("40MiB", "1/m").await.succeeded()).unwrap();
    assert_eq!(proposed["met"], true, "{proposed}");
    let setting = &proposed["setting"];
    assert!(setting["memory_kib"].as_u64().unwrap() >= 19_456 && setting["passes"].as_u64().unwrap() >= 2);
    let lines = format!(
        "[passwords.hashing]\nmemory = \"{} KiB\"\npasses = {}\nthreads = {}\nqueue = {}",
        setting["memory_kib"], setting["passes"], setting["threads"], setting["queue"]
    );
    house.gateway.configure(&lines);
    let shown = house.gateway.cli(&["config", "show"]).await.succeeded();
    let read: toml::Table = shown.parse().unwrap();
    assert_eq!(
        read["passwords"]["hashing"]["passes"].as_integer(),
        setting["passes"].as_i64()
    );

    let poor = tune("10MiB", "1/m").await;
    assert_eq!(poor.code, Some(3), "{poor:?}");
    let poor: Value = serde_json::from_str(&poor.out).unwrap();
    assert_eq!(poor["missing"], json!({ "memory_kib": 19_456 - 10_240 }));
    let busy = tune("40MiB", "90000/s").await;
    assert_eq!(busy.code, Some(3), "{busy:?}");
    let busy: Value = serde_json::from_str(&busy.out).unwrap();
    assert!(busy["missing"]["throughput_times"].as_f64().unwrap() > 2.0, "{busy}");
}
