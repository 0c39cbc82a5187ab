//! The config file: everything wrong with it is said in one run, and what is in effect can be seen.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Gateway, House};

/// The number of the first line that contains this.
fn line_of(gateway: &Gateway, text: &str) -> usize {
    let file = fs::read_to_string(gateway.config()).unwrap();
    let at = file.lines().position(|line| line.contains(text));
    at.unwrap_or_else(|| panic!("{text} in {file}")) + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_file_passes_and_what_weakens_is_said() {
    let house = House::closed("").await;
    let quiet = house.gateway.cli(&["config", "check"]).await;
    assert_eq!(quiet.code, Some(0), "{quiet:?}");
    house
        .gateway
        .configure("[limits]\nenabled = false\n[mail]\nsmtp_host = \"mail.example.com\"\n[access]\npublic = [\"/*\"]");
    let ran = house.gateway.cli(&["config", "check"]).await;
    assert_eq!(ran.code, Some(0), "allowed, but said: {ran:?}");
    let said = format!("{}{}", ran.out, ran.err);
    for key in ["limits.enabled", "mail.security", "access.public"] {
        assert!(said.contains(key), "{key}: {said}");
        assert!(!format!("{}{}", quiet.out, quiet.err).contains(key), "{key}: {quiet:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_said_in_one_run_with_its_line_and_reason() {
    let house = House::closed("").await;
    let good = fs::read_to_string(house.gateway.config()).unwrap();
    let bad = good
        .replace("in_office = \"https://in.test\"", "in_office = \"http://in.test\"")
        .replace(
            "drain_timeout = \"1s\"",
            "drain_timeout = \"1 fortnight\"\nno_such_key = true",
        )
        .replace("mail_per_client = \"100000 per 1h\"", "mail_per_client = \"often\"")
        .replace("memory = \"8 MiB\"", "memory = \"8 KiB\"");
    let bad = format!("{bad}\n[no_such_section]\nx = 1\n");
    fs::write(house.gateway.config(), bad).unwrap();
    let ran = house.gateway.cli(&["config", "check"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for text in [
        "http://in.test",
        "fortnight",
        "no_such_key",
        "often",
        "8 KiB",
        "no_such_section",
    ] {
        let line = line_of(&house.gateway, text);
        let found = ran
            .err
            .lines()
            .find(|said| said.contains(&format!(":{line}:")) || said.contains(&format!("line {line}")));
        assert!(found.is_some(), "{text} in line {line}: {}", ran.err);
    }
    assert!(ran.err.lines().count() >= 6);
    let serve = house.gateway.cli(&["serve"]).await;
    assert_eq!(serve.code, Some(1), "{serve:?}");
    assert!(serve.err.contains("no_such_key"), "{serve:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_toml_and_missing_files_are_one_clear_line() {
    let house = House::closed("").await;
    let good = fs::read_to_string(house.gateway.config()).unwrap();
    fs::write(house.gateway.config(), format!("{good}\n[server\n")).unwrap();
    house.gateway.cli(&["config", "check"]).await.failed();
    fs::write(house.gateway.config(), &good).unwrap();

    fs::remove_file(house.gateway.home().join("tls.pem")).unwrap();
    let said = house.gateway.cli(&["config", "check"]).await.failed();
    assert!(said.contains("tls.pem"), "{said}");

    fs::remove_file(house.gateway.config()).unwrap();
    let said = house.gateway.cli(&["config", "check"]).await.failed();
    assert!(said.contains("sekisho.toml"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_everybody_can_read_is_refused() {
    let house = House::closed("").await;
    let key = house.gateway.home().join("tls.key");
    for (mode, code) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let ran = house.gateway.cli(&["config", "check"]).await;
        assert_eq!(ran.code, Some(code), "{mode:o}: {ran:?}");
    }
    let serve = house.gateway.cli(&["serve"]).await;
    assert_eq!(serve.code, Some(1), "{serve:?}");
    assert!(serve.err.contains("tls.key"), "{serve:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_would_stop_the_start_fails_the_check() {
    let house = House::closed("").await;
    let file = |name: &str, text: &str| {
        let path = house.gateway.home().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let junk = file(
        "junk.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let own = house.gateway.home().join("tls.pem");
    let another = file("another.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let sound = fs::read_to_string(house.gateway.config()).unwrap();
    for (broken, key) in [
        (format!("[upstream]\nca_file = {junk:?}"), "upstream: "),
        (
            format!("[upstream]\nclient_certificate = {own:?}\nclient_key = {another:?}"),
            "upstream: ",
        ),
        (
            format!("[server]\nclient_certificates = \"optional\"\nclient_ca_file = {junk:?}"),
            "server.client_ca_file: ",
        ),
        (format!("[mail]\nsecurity = \"starttls\"\nca_file = {junk:?}"), "mail: "),
    ] {
        fs::write(house.gateway.config(), &sound).unwrap();
        house.gateway.cli(&["config", "check"]).await.succeeded();
        house.gateway.configure(&broken);
        let checked = house.gateway.cli(&["config", "check"]).await;
        assert_eq!(checked.code, Some(1), "{broken}: {checked:?}");
        assert!(checked.err.contains(key), "{broken}: {checked:?}");
        let started = house.gateway.cli(&["serve"]).await;
        assert_eq!(started.code, Some(1), "{broken}: {started:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_everybody_can_read_are_refused() {
    let house = House::open().await;
    house.gateway.stop().await;
    let pepper = house.gateway.home().join("secrets/pepper");
    fs::set_permissions(&pepper, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = house.gateway.cli(&["serve"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("pepper"), "{ran:?}");
    fs::set_permissions(&pepper, fs::Permissions::from_mode(0o600)).unwrap();
    house.gateway.start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_effect_is_shown_without_secrets() {
    let house = House::closed("[sessions]\nidle = \"90m\"").await;
    let shown = house.gateway.cli(&["config", "show"]).await.succeeded();
    let table: toml::Table = shown.parse().unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!(table["doors"]["in_office"].as_str(), Some("https://in.test"));
    assert_eq!(table["sessions"]["idle"].as_str(), Some("90m"));
    assert_eq!(
        table["sessions"]["cookie"].as_str(),
        Some("__Host-sekisho"),
        "defaults are shown too"
    );
    // What is shown is itself a config file.
    fs::write(house.gateway.config(), &shown).unwrap();
    house.gateway.cli(&["config", "check"]).await.succeeded();
    assert_eq!(house.gateway.cli(&["config", "show"]).await.succeeded(), shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_describes_every_section() {
    let house = House::closed("").await;
    let schema: serde_json::Value = house.gateway.cli_json(&["config", "schema"]).await;
    assert!(
        schema["$schema"].as_str().unwrap().contains("json-schema.org"),
        "{schema}"
    );
    let file = fs::read_to_string("config/sekisho.toml").unwrap();
    let example: toml::Table = file.parse().unwrap();
    for section in example.keys() {
        assert!(
            schema["properties"].get(section).is_some(),
            "{section} is in the schema"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_pages_take_the_paths_they_are_given() {
    let house = House::with(
        "[routes]\nlogin = \"/account/sign-in\"\nlogout = \"/account/bye\"\nset_password = \"/account/new-password\"\nforgot_password = \"/account/forgot\"",
    )
    .await;
    let email = house.invite("101", &[]).await;
    let letter = house.mailbox.next(&email).await;
    let links = crate::harness::mailbox::links(&letter);
    assert!(
        links
            .in_office
            .starts_with("https://in.test/account/new-password?ticket="),
        "{links:?}"
    );
    let visitor = house.visitor();
    let page = visitor.follow(&links.in_office).await;
    let fields = [
        ("password", crate::harness::PASSWORD),
        ("confirmation", crate::harness::PASSWORD),
    ];
    assert!(
        visitor
            .send_form(&page, "/account/new-password", &fields)
            .await
            .is_done()
    );
    let challenge = visitor.get("/x").await;
    assert_eq!(challenge.location(), "/account/sign-in?return_to=%2Fx");
    let fields = [("login", "101"), ("password", crate::harness::PASSWORD)];
    assert!(visitor.post_form("/account/sign-in", &fields).await.is_done());
    assert_eq!(
        visitor.fetch("/login").await.status,
        200,
        "the old paths are the web client's now"
    );
    assert_eq!(house.upstream.last().target, "/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn eddsa_signs_where_it_is_configured() {
    let house = House::with("[assertion]\nalgorithm = \"EdDSA\"").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    assert!(visitor.passes().await);
    let assertion = house.upstream.last().assertion().to_owned();
    let header = jsonwebtoken::decode_header(&assertion).unwrap();
    assert_eq!(header.alg, jsonwebtoken::Algorithm::EdDSA);
    let jwks = visitor.fetch("/.well-known/sekisho/jwks.json").await;
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&jwks.body).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&["sekisho-upstream"]);
    jsonwebtoken::decode::<serde_json::Value>(&assertion, &key, &validation).unwrap();
}
