//! Backups: made while the server runs, restored onto a new machine, refused when anything is wrong with them, and
//! proved to tell nobody a secret.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use aho_corasick::AhoCorasick;
use rustix::process::{Pid, Signal, kill_process};
use sekisho::crypto::secrets::{KnownSecret, PresentSecrets};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::harness::page::hidden_fields;
use crate::harness::{House, OTHER_PASSWORD, PASSWORD, SESSION, SOON, eventually};

/// Hashes at OWASP's floor, since that is what a proof asks for.
const STRONG: &str = "[passwords.hashing]\nmemory = \"19 MiB\"\npasses = 2";

async fn back_up(house: &House) -> PathBuf {
    let file = house.gateway.home().join("b.backup");
    let name = file.display().to_string();
    house
        .gateway
        .cli(&["backup", "create", &name, "--force"])
        .await
        .succeeded();
    file
}

async fn restore(house: &House, file: &Path, more: &[&str]) -> crate::harness::gateway::Ran {
    let name = file.display().to_string();
    house.gateway.cli(&[&["backup", "restore", &name], more].concat()).await
}

/// The exit code and the checks by name.
async fn prove(house: &House, file: &Path) -> (Option<i32>, Value) {
    let name = file.display().to_string();
    let ran = house.gateway.cli(&["backup", "prove", &name, "--json"]).await;
    (
        ran.code,
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}")),
    )
}

fn failed(proof: &Value) -> Vec<String> {
    let checks = proof["checks"].as_array().unwrap().iter();
    let failed = checks.filter(|check| check["verdict"] == "failed");
    failed.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

/// The pepper and the sealing key, brought over by hand.
fn bring_secrets(from: &House, to: &House, names: &[&str]) {
    let directory = to.gateway.home().join("secrets");
    fs::create_dir_all(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    for name in names {
        let old = from.gateway.home().join("secrets").join(name);
        // Copies the mode as well.
        fs::copy(old, directory.join(name)).unwrap();
    }
}

/// The database inside a backup, unpacked by the tools that everybody has.
fn database_in(file: &Path) -> Vec<u8> {
    let packed = fs::File::open(file).unwrap();
    let mut tar = tar::Archive::new(zstd::Decoder::new(packed).unwrap());
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path_bytes().as_ref() == b"sekisho.db" {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            return bytes;
        }
    }
    panic!("no database in {}", file.display());
}

fn store_of(house: &House) -> PathBuf {
    house.gateway.home().join("store")
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn alter(house: &House, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(store_of(house).join("sekisho.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_while_the_server_runs_serves_on_a_new_machine_where_nobody_is_signed_in() {
    let old = House::open().await;
    let email = old.invite("101", &[]).await;
    let links = old.mailbox.next_links(&email).await;
    old.event("link.sent", Some("welcome")).await;
    let visitor = old.visitor();
    assert!(visitor.set_password(&links.in_office, PASSWORD).await.is_done());
    assert!(visitor.sign_in("101", PASSWORD).await.is_done());
    let invited = old.invite("102", &[]).await;
    let link = old.mailbox.next_links(&invited).await;
    let file = back_up(&old).await;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    old.event("backup.created", None).await;
    assert!(visitor.passes().await, "the server went on meanwhile");
    assert!(
        names_in(&store_of(&old))
            .iter()
            .all(|name| !name.starts_with(".backup"))
    );
    // What happens after the backup is not in it.
    old.welcome("103").await;

    let new = House::closed("").await;
    bring_secrets(&old, &new, &["pepper", "sealing.key"]);
    let said = restore(&new, &file, &[]).await.succeeded();
    for words in [
        "the file is whole",
        "made with the sealing key that is here",
        "2 accounts",
        "the database in it is sound",
        "sessions and links are void",
        "the backup is in place",
        "passwords work",
        "signing keys work",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    new.gateway.start().await;
    let stranger = new.visitor();
    stranger.set_cookie(SESSION, Some(&visitor.session()));
    assert!(!stranger.passes().await, "a session does not come back to life");
    assert_eq!(
        new.visitor().follow(&link.in_office).await.status,
        410,
        "nor does a link"
    );
    for (extension, stage) in [("101", "used"), ("102", "expired")] {
        let links: Vec<Value> = new
            .gateway
            .cli_json(&["link", "list", "--account", extension, "--json"])
            .await;
        let stages: Vec<&Value> = links.iter().map(|link| &link["stage"]).collect();
        assert_eq!(stages, [stage], "what a link was stays to be seen: {links:?}");
    }
    assert!(new.visitor().sign_in("101", PASSWORD).await.is_done());
    assert!(!new.visitor().sign_in("103", PASSWORD).await.is_done());
    new.event("backup.restored", None).await;
    new.event("sign-in.done", None).await;
    new.gateway.cli(&["account", "welcome", "102"]).await.succeeded();
    let fresh = new.mailbox.next_links(&invited).await;
    assert!(
        new.visitor()
            .set_password(&fresh.in_office, OTHER_PASSWORD)
            .await
            .is_done()
    );
    let keys = |house: &House| {
        let gateway = house.gateway.command(&["key", "list", "--json"]).output().unwrap();
        serde_json::from_slice::<Value>(&gateway.stdout).unwrap()[0]["kid"].clone()
    };
    assert_eq!(keys(&old), keys(&new), "the web client knows the signing key already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_gets_no_name_under_which_the_next_command_would_remove_it() {
    let house = House::closed("").await;
    house.invite("101", &[]).await;
    for name in [
        ".sekisho-backup-daily",
        ".backup-daily",
        ".restore-daily",
        "sekisho-prove-daily",
    ] {
        let file = house.gateway.home().join(name);
        let create = ["backup", "create", file.to_str().unwrap()];
        let said = house.gateway.cli(&create).await.failed();
        assert!(said.contains("is no name for a backup"), "{said}");
        assert!(!file.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_overwritten_or_replaced_unasked_and_nothing_is_lost() {
    let house = House::open().await;
    house.welcome("101").await;
    let file = back_up(&house).await;
    let before = fs::read(&file).unwrap();
    let name = file.display().to_string();
    let said = house.gateway.cli(&["backup", "create", &name]).await.failed();
    assert!(said.contains("--force"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), before);

    let said = restore(&house, &file, &["--replace"]).await;
    assert!(said.err.contains("another server is running"), "{said:?}");
    house.invite("102", &[]).await;
    assert!(house.gateway.stop().await.success());
    let said = restore(&house, &file, &[]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("--replace"), "{said:?}");
    let accounts = || async {
        house
            .gateway
            .cli_json::<Vec<Value>>(&["account", "list", "--json"])
            .await
            .len()
    };
    assert_eq!(accounts().await, 2);

    let said = restore(&house, &file, &["--replace"]).await.succeeded();
    assert!(said.contains("kept in"), "{said}");
    assert_eq!(accounts().await, 1);
    let aside = names_in(&store_of(&house))
        .into_iter()
        .find(|name| name.starts_with("replaced-"))
        .unwrap();
    let options = SqliteConnectOptions::new().filename(store_of(&house).join(aside).join("sekisho.db"));
    let mut kept = SqliteConnection::connect_with(&options).await.unwrap();
    let people: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM accounts")
        .fetch_one(&mut kept)
        .await
        .unwrap();
    assert_eq!(people, 2, "what was there is still there");
    house.gateway.start().await;
    assert!(house.visitor().sign_in("101", PASSWORD).await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_short_altered_or_something_else_is_refused_before_anything_is_touched() {
    let house = House::open().await;
    house.welcome("101").await;
    let file = back_up(&house).await;
    assert!(house.gateway.stop().await.success());
    let bytes = fs::read(&file).unwrap();
    let mut altered = bytes.clone();
    altered[bytes.len() / 2] ^= 1;
    let before = house.gateway.stored();
    for (what, wrong) in [
        ("cut short", &bytes[..bytes.len() - 1]),
        ("cut in half", &bytes[..bytes.len() / 2]),
        ("altered", &altered),
        ("longer", &[&bytes[..], b"\0"].concat()),
        ("empty", b""),
        ("something else", b"PK\x03\x04 holiday photos"),
    ] {
        fs::write(&file, wrong).unwrap();
        let said = restore(&house, &file, &["--replace"]).await.failed();
        assert!(said.contains("b.backup is not used"), "{what}: {said}");
        assert_eq!(house.gateway.stored(), before, "{what}");
        let (code, proof) = prove(&house, &file).await;
        assert_eq!(
            (code, failed(&proof)),
            (Some(1), vec!["file-whole".to_owned()]),
            "{what}"
        );
    }
    fs::write(&file, &bytes).unwrap();
    restore(&house, &file, &["--replace"]).await.succeeded();
    let gone = house.gateway.home().join("no-such-file");
    let said = restore(&house, &gone, &["--replace"]).await.failed();
    assert!(said.contains("no-such-file"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_backup_is_refused_with_both_versions_named() {
    let house = House::open().await;
    house.welcome("101").await;
    alter(
        &house,
        "INSERT INTO _sqlx_migrations SELECT 9999, 'later', installed_on, success, checksum, execution_time \
         FROM _sqlx_migrations WHERE version = 1",
    )
    .await;
    assert!(house.gateway.stop().await.success());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("newer.backup");
    archive(&store_of(&house).join("sekisho.db"), 9999, &file).await;
    let new = House::closed("").await;
    let said = restore(&new, &file, &[]).await.failed();
    assert!(
        said.contains("9999") && said.contains(env!("CARGO_PKG_VERSION")),
        "{said}"
    );
    assert!(!store_of(&new).exists(), "nothing was touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_is_brought_up_to_date() {
    let old = tempfile::tempdir().unwrap();
    let database = old.path().join("sekisho.db");
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite/migrations");
    let migrator = sqlx::migrate::Migrator::new(migrations).await.unwrap();
    let options = SqliteConnectOptions::new().filename(&database).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    migrator.run_to(1, &mut connection).await.unwrap();
    sqlx::query(
        "INSERT INTO accounts VALUES ('0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01', '101', 'Yuki', 'p101@example.com', \
         'p101@example.com', 'user', '[]', 'en', 'invited', 1, 1, 1, NULL, NULL, NULL)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let file = old.path().join("older.backup");
    archive(&database, 1, &file).await;
    let new = House::closed("").await;
    let said = restore(&new, &file, &["--keys-lost"]).await.succeeded();
    let newest = sekisho::store::sqlite::schema_version();
    assert!(
        newest > 1 && said.contains(&format!("from version 1 to {newest}")),
        "{said}"
    );
    new.gateway.start().await;
    new.gateway.cli(&["account", "welcome", "101"]).await.succeeded();
    let links = new.mailbox.next_links("p101@example.com").await;
    assert!(new.visitor().set_password(&links.in_office, PASSWORD).await.is_done());
}

/// A sound archive of this database, as somebody with the program's source could make.
async fn archive(database: &Path, schema: i64, to: &Path) {
    let mut manifest = sekisho::store::archive::Manifest::new(schema, crate::harness::now());
    let mut copy = sekisho::store::sqlite::DatabaseCopy::open(database).await.unwrap();
    manifest.rows = copy.rows().await.unwrap();
    copy.close().await;
    let mut file = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(to)
        .unwrap();
    let mut database = fs::File::open(database).unwrap();
    sekisho::store::archive::write(&mut file, &mut manifest, &mut database, |_| [0; 32]).unwrap();
}

/// The same backup with another manifest, as somebody without the sealing key could make it: every digest is right.
fn forge(file: &Path, alter: impl FnOnce(&mut Value)) {
    let bytes = fs::read(file).unwrap();
    let mac = &bytes[bytes.len() - 32..];
    let mut old = tar::Archive::new(zstd::Decoder::new(&bytes[..]).unwrap());
    let mut new = tar::Builder::new(zstd::Encoder::new(Vec::new(), 0).unwrap());
    let mut alter = Some(alter);
    for entry in old.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut part = Vec::new();
        entry.read_to_end(&mut part).unwrap();
        if let Some(alter) = alter.take() {
            let mut manifest = serde_json::from_slice(&part).unwrap();
            alter(&mut manifest);
            part = serde_json::to_vec_pretty(&manifest).unwrap();
        }
        let mut header = entry.header().clone();
        header.set_size(part.len() as u64);
        header.set_cksum();
        new.append(&header, &part[..]).unwrap();
    }
    let mut forged = new.into_inner().unwrap().finish().unwrap();
    let digest = Sha256::digest(&forged);
    forged.extend(&bytes[bytes.len() - 72..bytes.len() - 64]);
    forged.extend(digest);
    forged.extend(mac);
    fs::write(file, forged).unwrap();
}

/// Each field of a manifest with a value that is another one, and whether that can be seen without the sealing key.
fn alterations() -> Vec<(&'static str, Value, bool)> {
    vec![
        ("/kind", json!("holiday-photos"), true),
        ("/format", json!(2), true),
        ("/format", json!(0), false),
        ("/version", json!("0.0.1"), false),
        ("/schema", json!(1), true),
        ("/schema", json!(9999), true),
        ("/created_at", json!("2020-01-01T00:00:00Z"), false),
        ("/sealing_key_id", json!("0123456789abcdef"), false),
        ("/sealing_key_id", Value::Null, false),
        ("/parts/0/name", json!("other.db"), true),
        ("/parts/0/bytes", json!(1), true),
        ("/parts/0/sha256", json!("00"), true),
        ("/parts", json!([]), true),
        ("/rows/accounts", json!(7), true),
        ("/rows", json!({}), true),
        ("/left_out", json!([]), false),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_was_altered_in_any_field_is_refused_before_anything_is_touched() {
    let house = House::open().await;
    house.welcome("101").await;
    let file = back_up(&house).await;
    assert!(house.gateway.stop().await.success());
    let whole = fs::read(&file).unwrap();
    let before = house.gateway.stored();
    let elsewhere = House::closed("").await;
    let mut fields = std::collections::BTreeSet::new();
    forge(&file, |manifest| {
        fields = manifest.as_object().unwrap().keys().cloned().collect();
    });
    for (field, value, seen_by_anybody) in alterations() {
        fields.remove(field.split('/').nth(1).unwrap());
        fs::write(&file, &whole).unwrap();
        forge(&file, |manifest| {
            let place = manifest.pointer_mut(field).unwrap();
            assert_ne!(*place, value, "{field}");
            *place = value.clone();
        });
        let said = restore(&house, &file, &["--replace"]).await;
        assert_eq!(said.code, Some(1), "{field} = {value}: {said:?}");
        assert!(
            said.err.contains("is not used") || said.err.contains("was made by Sekisho"),
            "{field} = {value}: {said:?}"
        );
        assert_eq!(house.gateway.stored(), before, "{field} = {value}");
        let said = restore(&elsewhere, &file, &[]).await;
        assert_eq!(said.code, Some(1), "nothing can tell who made it: {said:?}");
        assert!(!store_of(&elsewhere).exists(), "{field} = {value}");
        if seen_by_anybody {
            let said = restore(&elsewhere, &file, &["--keys-lost"]).await;
            assert_eq!(said.code, Some(1), "{field} = {value}: {said:?}");
            assert!(!store_of(&elsewhere).join("sekisho.db").exists(), "{field} = {value}");
            let _ = fs::remove_dir_all(store_of(&elsewhere));
        }
    }
    assert!(fields.is_empty(), "these were never altered: {fields:?}");
    fs::write(&file, &whole).unwrap();
    let said = restore(&elsewhere, &file, &[]).await;
    assert!(
        said.err.contains("none is here") && said.err.contains("--keys-lost"),
        "{said:?}"
    );
    restore(&elsewhere, &file, &["--keys-lost"]).await.succeeded();
    restore(&house, &file, &["--replace"]).await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_with_something_alive_or_foreign_in_it_brings_none_of_it() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    assert!(house.gateway.stop().await.success());
    let schema = sekisho::store::sqlite::schema_version();
    let file = house.gateway.home().join("own.backup");
    archive(&store_of(&house).join("sekisho.db"), schema, &file).await;
    let (code, proof) = prove(&house, &file).await;
    assert_eq!(code, Some(1));
    assert!(failed(&proof).contains(&"nothing-alive".to_owned()), "{proof}");
    assert!(failed(&proof).contains(&"made-here".to_owned()) || proof["checks"][1]["verdict"] == "skipped");
    let said = restore(&house, &file, &["--replace"]).await.failed();
    assert!(said.contains("the one that is here is another"), "{said}");
    let said = restore(&house, &file, &["--replace", "--keys-lost"]).await.succeeded();
    assert!(said.contains("who made it cannot be told"), "{said}");
    house.gateway.start().await;
    assert!(!visitor.passes().await, "its session is void all the same");
    assert!(house.gateway.stop().await.success());

    alter(
        &house,
        "CREATE TRIGGER backdoor AFTER UPDATE ON accounts BEGIN UPDATE accounts SET role = 'admin' WHERE extension = '101'; END",
    )
    .await;
    archive(&store_of(&house).join("sekisho.db"), schema, &file).await;
    let said = restore(&house, &file, &["--replace", "--keys-lost"]).await;
    assert!(said.err.contains("trigger backdoor"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_secrets_are_named_and_lost_ones_cost_passwords_and_keys_and_nothing_else() {
    let old = House::open().await;
    let person = old.welcome("101").await;
    let file = back_up(&old).await;
    let new = House::closed("").await;
    let said = restore(&new, &file, &[]).await.failed();
    assert!(said.contains("sealing key") && said.contains("none is here"), "{said}");
    bring_secrets(&old, &new, &["sealing.key"]);
    let said = restore(&new, &file, &[]).await.succeeded();
    assert!(said.contains("pepper is missing"), "{said}");
    let refused = new.gateway.cli(&["serve"]).await;
    assert!(
        refused.err.contains("pepper is missing"),
        "closed until they are there: {refused:?}"
    );
    bring_secrets(&old, &new, &["pepper"]);
    fs::remove_file(new.gateway.home().join("secrets/sealing.key")).unwrap();
    let said = restore(&new, &file, &["--replace", "--keys-lost"]).await.succeeded();
    assert!(
        said.contains("passwords work") && said.contains("1 signing key is gone"),
        "{said}"
    );
    new.gateway.start().await;
    assert!(new.visitor().sign_in("101", PASSWORD).await.is_done());
    assert!(new.gateway.stop().await.success());

    fs::remove_dir_all(new.gateway.home().join("secrets")).unwrap();
    let said = restore(&new, &file, &["--replace", "--keys-lost"]).await.succeeded();
    assert!(said.contains("the passwords of 1 person are gone"), "{said}");
    new.gateway.start().await;
    assert!(!new.visitor().sign_in("101", PASSWORD).await.is_done());
    new.visitor()
        .post_json("/forgot-password", &json!({"email": person.email}))
        .await;
    let links = new.mailbox.next_links(&person.email).await;
    assert!(
        new.visitor()
            .set_password(&links.in_office, OTHER_PASSWORD)
            .await
            .is_done()
    );
    assert!(new.visitor().sign_in("101", OTHER_PASSWORD).await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_proves_what_it_promises_and_says_what_does_not_hold() {
    let house = House::with(STRONG).await;
    house.welcome("101").await;
    house.invite("102", &[]).await;
    house.gateway.cli(&["key", "rotate"]).await.succeeded();
    let add = ["token", "add", "reports", "--scope", "GET /api/*", "--expires", "90d"];
    house.gateway.cli(&add).await.succeeded();
    let ban = ["limits", "ban", "203.0.113.7", "--for", "2h"];
    house.gateway.cli(&ban).await.succeeded();
    let file = back_up(&house).await;
    let (code, proof) = prove(&house, &file).await;
    assert_eq!((code, proof["proved"].as_bool()), (Some(0), Some(true)), "{proof:#}");
    for check in proof["checks"].as_array().unwrap() {
        assert_eq!(check["verdict"], "proved", "{check}");
        assert!(check["looked_at"].as_u64().unwrap() > 0, "{check} looked at something");
    }
    let name = file.display().to_string();
    let said = house.gateway.cli(&["backup", "prove", &name]).await.succeeded();
    let checks = proof["checks"].as_array().unwrap().len();
    assert!(
        checks >= 12 && said.lines().count() == checks + 1,
        "one line a check: {said}"
    );

    // Each of these must be seen, by the check that is there for it.
    let pepper = fs::read_to_string(house.gateway.home().join("secrets/pepper")).unwrap();
    let into_words: &'static str = format!("UPDATE letters SET words = '250 {}'", pepper.trim()).leak();
    for (check, sql, mend) in [
        (
            "password-hashes",
            "UPDATE accounts SET password_hash = replace(password_hash, 'm=19456', 'm=8192') WHERE extension = '101'",
            "UPDATE accounts SET password_hash = replace(password_hash, 'm=8192', 'm=19456') WHERE extension = '101'",
        ),
        (
            "password-hashes",
            "UPDATE accounts SET password_hash = '$2b$10$abcdefghijklmnopqrstuu5LoVUJYUPPJ5fWZAWbqZJ7BxFRAL4ei' \
             WHERE extension = '102'",
            "UPDATE accounts SET password_hash = NULL WHERE extension = '102'",
        ),
        (
            "api-tokens",
            "UPDATE api_tokens SET scopes_json = '[\"everything\"]'",
            "UPDATE api_tokens SET scopes_json = '[\"GET /api/*\"]'",
        ),
        (
            "bearer-forms",
            "UPDATE api_tokens SET created_by = 'sekisho_0123456789012345678901234567890123456789012345678'",
            "UPDATE api_tokens SET created_by = 'operator'",
        ),
        (
            "token-forms",
            "UPDATE letters SET words = '554 no https://in.test/set-password#AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE'",
            "UPDATE letters SET words = NULL",
        ),
        (
            "bearer-forms",
            "UPDATE letters SET words = '554 no /set-password?ticket=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE'",
            "UPDATE letters SET words = NULL",
        ),
        (
            "private-key-forms",
            "UPDATE accounts SET name = '-----BEGIN EC PRIVATE KEY-----' WHERE extension = '102'",
            "UPDATE accounts SET name = 'Person 102' WHERE extension = '102'",
        ),
        (
            "public-keys",
            "UPDATE signing_keys SET public_jwk = json_set(public_jwk, '$.p', 'x')",
            "UPDATE signing_keys SET public_jwk = json_remove(public_jwk, '$.p')",
        ),
        (
            "orders",
            "INSERT INTO orders VALUES ('o', 'ban', 'my password is hunter2', NULL, NULL, 'root', 1, NULL, NULL)",
            "DELETE FROM orders",
        ),
        ("own-secrets", into_words, "UPDATE letters SET words = NULL"),
        (
            "attempts",
            "UPDATE attempts SET device = CAST('my password is hunter2' AS BLOB)",
            "UPDATE attempts SET device = NULL",
        ),
        (
            "events",
            "INSERT INTO events VALUES ('e', 1, 'operator', NULL, NULL, 'free.text', 'my password is hunter2')",
            "SELECT 1",
        ),
    ] {
        alter(&house, sql).await;
        let (code, proof) = prove(&house, &back_up(&house).await).await;
        assert_eq!(code, Some(1), "{check}: {proof:#}");
        assert!(
            failed(&proof).contains(&check.to_owned()),
            "{check}: {:?}",
            failed(&proof)
        );
        alter(&house, mend).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_without_the_configuration_sees_what_was_skipped() {
    let house = House::with(STRONG).await;
    house.welcome("101").await;
    let file = back_up(&house).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sekisho"))
        .args(["backup", "prove", &file.display().to_string(), "--json", "--config"])
        .arg(elsewhere.path().join("none.toml"))
        .output()
        .unwrap();
    let proof: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{proof:#}");
    let checks = proof["checks"].as_array().unwrap();
    let skipped: Vec<_> = checks.iter().filter(|check| check["verdict"] == "skipped").collect();
    assert_eq!(
        skipped
            .iter()
            .map(|check| check["name"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["made-here", "own-secrets"]
    );
    assert!(
        skipped
            .iter()
            .all(|check| !check["notes"].as_array().unwrap().is_empty())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_the_test_knows_is_in_a_backup_the_database_its_log_or_anything_printed() {
    let house = House::with("[log]\nlevel = \"trace\"").await;
    let mut secrets = vec![PASSWORD.to_owned(), OTHER_PASSWORD.to_owned()];
    let email = house.invite("101", &[]).await;
    let welcome = house.mailbox.next_links(&email).await;
    secrets.push(welcome.ticket().to_owned());
    let visitor = house.visitor();
    assert!(visitor.set_password(&welcome.in_office, PASSWORD).await.is_done());
    secrets.extend(visitor.cookie_values());
    assert!(visitor.sign_in("101", PASSWORD).await.is_done());
    secrets.push(visitor.session());
    assert!(visitor.passes().await);
    secrets.push(house.upstream.last().assertion().to_owned());
    let guess = "a wrong guess with words 23";
    secrets.push(guess.to_owned());
    visitor
        .post_json("/login", &json!({"login": "101", "password": guess}))
        .await;
    visitor.post_json("/forgot-password", &json!({"email": email})).await;
    let reset = house.mailbox.next_links(&email).await;
    secrets.push(reset.ticket().to_owned());
    let other = house.visitor();
    assert!(other.set_password(&reset.in_office, OTHER_PASSWORD).await.is_done());
    assert!(other.sign_in("101", OTHER_PASSWORD).await.is_done());
    secrets.push(other.session());
    let waiting = house.invite("102", &[]).await;
    secrets.push(house.mailbox.next_links(&waiting).await.ticket().to_owned());
    // Every cookie, the one that makes a device known among them; the token of a form that was shown.
    secrets.extend(visitor.cookie_values());
    secrets.extend(other.cookie_values());
    let form = house.visitor().get("/login").await;
    let hidden = hidden_fields(&form.text(), "/login");
    let token = hidden.into_iter().find(|(_, value)| value.len() >= 32);
    secrets.push(token.expect("a form token").1);
    let mut secrets: Vec<_> = secrets
        .iter()
        .filter(|secret| secret.len() >= 8)
        .map(|secret| KnownSecret::of_bytes(&format!("{secret:?}"), secret.as_bytes()))
        .collect();
    secrets.extend(secrets_of_the_gateway(&house).await);

    let file = back_up(&house).await;
    let mut places = vec![
        ("the backup".to_owned(), fs::read(&file).unwrap()),
        ("the database in the backup".to_owned(), database_in(&file)),
    ];
    // The server runs: the log of the database is there too.
    let stored = house.gateway.stored();
    assert!(
        stored
            .iter()
            .any(|(path, bytes)| path.ends_with("sekisho.db-wal") && !bytes.is_empty())
    );
    places.extend(
        stored
            .into_iter()
            .map(|(path, bytes)| (path.display().to_string(), bytes)),
    );
    let new = House::closed("").await;
    bring_secrets(&house, &new, &["pepper", "sealing.key"]);
    restore(&new, &file, &[]).await.succeeded();
    places.extend(
        new.gateway
            .stored()
            .into_iter()
            .map(|(path, bytes)| (path.display().to_string(), bytes)),
    );
    prove(&house, &file).await;
    assert!(house.gateway.stop().await.success());
    for printed in [house.gateway.printed(), new.gateway.printed()] {
        places.push(("what was printed".to_owned(), printed.into_bytes()));
    }
    assert!(places.len() >= 7 && places.iter().filter(|(_, bytes)| bytes.len() > 500).count() >= 5);
    assert!(secrets.len() >= 20, "{secrets:?}");
    are_nowhere(&secrets, &places);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_the_mail_server_is_in_no_log_no_database_and_no_backup() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("smtp-password");
    fs::write(&secret, "a password for the mail server 31\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let house = House::with(&format!(
        "[mail]\nusername = \"sekisho\"\npassword_file = \"{}\"\n[log]\nlevel = \"trace\"",
        secret.display()
    ))
    .await;
    // The test's mail server knows no passwords: whatever is said about that is in the log.
    house.invite("101", &[]).await;
    eventually("an attempt to deliver", async || {
        let letters: Vec<Value> = house.gateway.cli_json(&["mail", "list", "--json"]).await;
        letters
            .iter()
            .any(|letter| letter["attempts"].as_u64() > Some(0))
            .then_some(())
    })
    .await;
    let file = back_up(&house).await;
    let mut places = vec![
        ("the backup".to_owned(), fs::read(&file).unwrap()),
        ("the database in the backup".to_owned(), database_in(&file)),
    ];
    let stored = house.gateway.stored().into_iter();
    places.extend(stored.map(|(path, bytes)| (path.display().to_string(), bytes)));
    assert!(house.gateway.stop().await.success());
    places.push(("what was printed".to_owned(), house.gateway.printed().into_bytes()));
    are_nowhere(&[KnownSecret::of_file("the mail password", &secret).unwrap()], &places);
}

/// The secrets that the gateway made for itself: in its files, derived from them, and opened with them.
async fn secrets_of_the_gateway(house: &House) -> Vec<KnownSecret> {
    let directory = house.gateway.home().join("secrets");
    let mut secrets: Vec<_> = ["pepper", "sealing.key"]
        .map(|name| KnownSecret::of_file(name, &directory.join(name)).unwrap())
        .into();
    let sealing = PresentSecrets::look(&directory).unwrap().sealing_key.unwrap();
    for purpose in ["forms", "devices", "limits"] {
        secrets.push(KnownSecret::of_bytes(
            &format!("the key of {purpose}"),
            &sealing.derive(purpose),
        ));
    }
    let database = store_of(house).join("sekisho.db");
    let mut database = sekisho::store::sqlite::DatabaseCopy::open_live(&database)
        .await
        .unwrap();
    let keys = database.signing_keys().await.unwrap().rows;
    database.close().await;
    assert!(!keys.is_empty());
    for key in keys {
        let private = sekisho::crypto::seal::open(&sealing, &key.kid, &key.sealed).unwrap();
        // The key itself is somewhere inside its PKCS #8 form, of which the first bytes are the same for all.
        secrets.push(KnownSecret::of_bytes("a signing key", &private));
        secrets.push(KnownSecret::of_bytes("the number of a signing key", &private[36..68]));
    }
    secrets
}

/// None of these is in any of those places, as it is, in hexadecimal or in base64.
fn are_nowhere(secrets: &[KnownSecret], places: &[(String, Vec<u8>)]) {
    let mut wanted = Vec::new();
    for secret in secrets {
        let before = wanted.len();
        wanted.extend(secret.spellings().map(|spelling| (secret, spelling)));
        assert!(wanted.len() > before, "{secret:?} is too short to be looked for");
    }
    let search = AhoCorasick::new(wanted.iter().map(|(_, spelling)| spelling)).unwrap();
    for (place, bytes) in places {
        if let Some(hit) = search.find(bytes) {
            panic!("{:?} is in {place}", wanted[hit.pattern().as_usize()].0);
        }
    }
}

/// Starts a backup command, and holds it as soon as something of this name is in `place`; a command that was too quick
/// to be caught is started again.
fn held(place: &Path, prefix: &str, start: impl Fn() -> Command) -> (Child, PathBuf) {
    let begun = Instant::now();
    while begun.elapsed() < SOON {
        let mut child = start().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            let here = fs::read_dir(place).into_iter().flatten().flatten();
            let mut found = here.filter(|entry| entry.file_name().to_str().unwrap().starts_with(prefix));
            if let Some(entry) = found.next() {
                kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
                if stands_still(&mut child) && is_locked(&entry.path()) {
                    return (child, entry.path());
                }
                // Stopped on the way in or out of it, where it is nobody's.
                let _ = kill_process(Pid::from_child(&child), Signal::CONT);
            }
        }
    }
    panic!("no {prefix} was seen in {}", place.display());
}

/// Whether a signal to stop has taken hold, and not the end of the process.
fn stands_still(child: &mut Child) -> bool {
    while child.try_wait().unwrap().is_none() {
        let said = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        if said.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')) {
            return true;
        }
    }
    false
}

fn is_locked(path: &Path) -> bool {
    fs::File::open(path).is_ok_and(|opened| opened.try_lock().is_err())
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_backup_leaves_is_removed_by_the_next_and_never_while_somebody_works_in_it() {
    let house = House::open().await;
    house.welcome("101").await;
    let (home, store) = (house.gateway.home(), store_of(&house));
    let temporary = tempfile::tempdir().unwrap();
    let command = |args: &[&str]| {
        let mut command = house.gateway.command(args);
        command.env("TMPDIR", temporary.path());
        command
    };
    let target = home.join("b.backup").display().to_string();
    let make = || command(&["backup", "create", &target, "--force"]);
    assert!(make().output().unwrap().status.success());
    let look = || command(&["backup", "prove", &target]);
    for (place, prefix, start) in [
        (store.as_path(), ".backup-", &make as &dyn Fn() -> Command),
        (home, ".sekisho-backup-", &make),
        (temporary.path(), "sekisho-prove-", &look),
    ] {
        let (child, left) = held(place, prefix, start);
        start().output().unwrap();
        assert!(left.exists(), "{prefix}: its process is alive");
        kill(child);
        assert!(left.exists(), "{prefix}: nobody was there to remove it");
        start().output().unwrap();
        assert!(!left.exists(), "{prefix}: the next command removes it");
    }

    assert!(house.gateway.stop().await.success());
    let put_back = || command(&["backup", "restore", &target, "--replace"]);
    let (child, left) = held(&store, ".restore-", put_back);
    assert!(!put_back().output().unwrap().status.success(), "one at a time");
    assert!(left.exists(), "its process is alive");
    kill(child);
    assert!(left.exists());
    house.gateway.start().await;
    assert!(!left.exists(), "the start of the gateway removes it");
    assert!(house.visitor().sign_in("101", PASSWORD).await.is_done());
}
