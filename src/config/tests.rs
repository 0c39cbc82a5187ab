//! What the whole file promises: every error in one run, and one description behind reader, example,
//! schema and show.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

const EXAMPLE: &str = include_str!("../../config/sekisho.toml");
const DEMO: &str = include_str!("../../config/demo.toml");

/// The least that must be written.
const LEAST: &str = r#"
[doors]
in_office = "https://phone.office.example.com"
out_of_office = "https://phone.example.com"
[upstream]
url = "http://127.0.0.1:5000"
[mail]
from = "no-reply@example.com"
smtp_host = "smtp.example.com"
"#;

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("test.toml"))
}

/// The lines an operator sees.
fn complaints(text: &str) -> Vec<String> {
    let errors = parse(text).unwrap_err();
    let lines: Vec<_> = errors.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), errors.0.len(), "one line for each problem: {errors}");
    lines
}

/// The only complaint about the least file with `more` after it.
fn complaint(more: &str) -> String {
    let lines = complaints(&format!("{LEAST}{more}"));
    assert_eq!(lines.len(), 1, "{more}: {lines:#?}");
    lines.into_iter().next().unwrap()
}

/// `key` of a section, for all keys of a TOML document.
fn host(tls: bool, host: &str, port: u16) -> Address {
    let host = host.to_owned();
    Address::Host { tls, host, port }
}

fn keys_of(table: &toml::Table, prefix: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => keys.extend(keys_of(inner, &format!("{prefix}{key}."))),
            _ => drop(keys.insert(format!("{prefix}{key}"))),
        }
    }
    keys
}

fn keys_of_schema(schema: &Json, prefix: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (key, value) in schema["properties"].as_object().unwrap() {
        if value["type"] == "object" {
            keys.extend(keys_of_schema(value, &format!("{prefix}{key}.")));
        } else {
            keys.insert(format!("{prefix}{key}"));
        }
    }
    if schema["additionalProperties"].is_object() {
        // Under any name; the example has this one.
        keys.extend(keys_of_schema(
            &schema["additionalProperties"],
            &format!("{prefix}wiki."),
        ));
    }
    keys
}

/// The example with every optional key written out.
fn example_in_full() -> String {
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_file_is_what_the_keys_say_of_themselves() {
    if std::env::var_os("SEKISHO_WRITE_EXAMPLE").is_some() {
        std::fs::write("config/sekisho.toml", Config::documented()).unwrap();
        return;
    }
    assert_eq!(
        EXAMPLE,
        Config::documented(),
        "write it again: SEKISHO_WRITE_EXAMPLE=1 cargo test --lib config::"
    );
}

#[test]
fn the_example_file_reads_as_the_defaults() {
    assert_eq!(parse(EXAMPLE), Ok(Config::default()));
    assert_eq!(parse(LEAST), Ok(Config::default()));
}

#[test]
fn the_example_the_schema_and_the_reader_know_the_same_keys() {
    let schema = keys_of_schema(&Config::schema(), "");
    let full = example_in_full();
    let example = keys_of(&full.parse().unwrap(), "");
    assert_eq!(example, schema);
    assert!(example.len() > 60, "{}", example.len());
    // The reader refuses what it does not know, so reading all of them proves that it knows them.
    let config = parse(&full).unwrap();
    assert_eq!(config.mail.username.as_deref(), Some("sekisho"));
    assert_eq!(keys_of(&config.show().parse().unwrap(), ""), example);
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    for text in [LEAST, DEMO, &example_in_full()] {
        let config = parse(text).unwrap();
        assert_eq!(parse(&config.show()), Ok(config));
    }
}

#[test]
fn unusual_values_survive_being_shown() {
    let config = parse(
        r#"
        doors = { in_office = "https://a.example:444", out_of_office = "https://[::1]:8443" }
        upstream.url = "https://[2001:db8::1]"
        mail = { from = "a@b.example", smtp_host = "::1", security = "tls", from_name = 'He said "hi" \o/' }
        access.public = ["/favicon.ico", "/assets/*"]
        server = { trusted_proxies = ["10.0.0.0/8", "fd00::/8"], max_header_bytes = "4097 B", listen = ["[::1]:0"] }
        links.reset = "1h 30m"
        passwords = { site_words = ["関所", "a\\b"], hashing.memory = "8193 KiB" }
        limits.mail_per_client = "7 per 1day"
        branding = { language = "ja", support = "内線100" }
        forward_auth.proxies = ["10.1.0.0/16"]
        "#,
    )
    .unwrap();
    assert_eq!(config.mail.smtp_port, 465);
    assert_eq!(config.upstream.servers, [host(true, "2001:db8::1", 443)]);
    assert_eq!(config.passwords.hashing.memory_kib, 8193);
    assert_eq!(config.assertion.terms.issuer, "https://[::1]:8443");
    assert_eq!(parse(&config.show()), Ok(config));
}

/// The least configuration with more about the upstream.
fn with_upstream(more: &str) -> String {
    LEAST.replace("[upstream]\n", &format!("[upstream]\n{more}\n"))
}

#[test]
fn a_web_client_may_have_several_servers() {
    let listed = LEAST.replace(
        "url = \"http://127.0.0.1:5000\"",
        "url = [\"http://a:1\", \"https://b\", \"unix:/run/c\"]",
    );
    let config = parse(&listed).unwrap();
    let socket = Address::Socket("/run/c".into());
    assert_eq!(
        config.upstream.servers,
        [host(false, "a", 1), host(true, "b", 443), socket]
    );
    assert_eq!(parse(&config.show()), Ok(config));
    for bad in ["[]", "[\"http://a\", \"http://a:80\"]", "[\"http://a\", 7]", "7"] {
        let text = LEAST.replace("\"http://127.0.0.1:5000\"", bad);
        let found = complaints(&text);
        assert!(
            found.len() == 1 && found[0].contains("upstream.url"),
            "{bad}: {found:?}"
        );
    }
}

#[test]
fn what_is_said_of_the_upstream_goes_together() {
    for (more, expected) in [
        (
            "client_key = \"/k\"",
            "upstream.client_key: it needs upstream.client_certificate",
        ),
        (
            "client_certificate = \"/c\"",
            "upstream.client_certificate: it needs upstream.client_key",
        ),
        (
            "idle_timeout = \"59s\"",
            "upstream.idle_timeout: it is shorter than upstream.response_timeout",
        ),
        ("server_name = \"\"", "upstream.server_name: it is not a name"),
        ("server_name = \"*.internal\"", "upstream.server_name: it is not a name"),
        (
            "failure_statuses = [404]",
            "upstream.failure_statuses: 404 is not between 500 and 599",
        ),
    ] {
        let found = complaints(&with_upstream(more));
        assert!(found.len() == 1 && found[0].contains(expected), "{more}: {found:?}");
    }
    assert!(parse(&with_upstream("idle_timeout = \"60s\"")).is_ok());
    let idle = parse(&with_upstream("server_name = \"a\"")).unwrap();
    assert_eq!(idle.warnings().len(), 1, "nothing is verified without TLS");
}

#[test]
fn what_follows_from_other_keys_can_still_be_written() {
    let config = parse(&format!(
        "{LEAST}security = \"danger_plain\"\nsmtp_port = 2525\n[assertion]\nissuer = \"me\""
    ));
    let config = config.unwrap();
    assert_eq!(
        (config.mail.smtp_port, config.assertion.terms.issuer.as_str()),
        (2525, "me")
    );
}

#[test]
fn every_error_is_reported_in_one_run_with_its_line() {
    let lines = complaints(
        r#"[server]
listen = ["127.0.0.1:443", "localhost",
  "127.0.0.1:443", 7]
heder_timeout = "15s"
[doors]
in_office = "http://phone.example"
[upstream]
url = "http://web/app"
[sessions]
idle = "30"
absolute = 7
[sesions]
idle = "1h"
[limits]
enabled = "yes"
mail_per_client = "3 / 1h"
[log]
level = "loud"
"#,
    );
    assert_eq!(
        lines,
        [
            r#"test.toml:2: server.listen: "localhost": invalid socket address syntax"#,
            r#"test.toml:3: server.listen: "127.0.0.1:443" is in the list twice"#,
            "test.toml:3: server.listen: 7 is not text in quotes",
            "test.toml:4: server.heder_timeout: there is no such key; did you mean header_timeout?",
            "test.toml:5: doors.out_of_office: it is missing; write in [doors], for example: \
             out_of_office = \"https://phone.example.com\"",
            "test.toml:6: doors.in_office: a door must start with https://, since session cookies travel through it",
            "test.toml:8: upstream.url: the address has no path; leave out what follows the host and port",
            r#"test.toml:10: sessions.idle: "30" is not a duration; write it with a unit, such as "30m""#,
            r#"test.toml:11: sessions.absolute: 7 is not a duration; write it with a unit, such as "30m""#,
            "test.toml:12: sesions: there is no such section; did you mean sessions?",
            r#"test.toml:15: limits.enabled: "yes" is not true or false (without quotes)"#,
            "test.toml:16: limits.mail_per_client: \"3 / 1h\": a quota reads like \"10 per 15m\": a number from 1 to \
             1000000, and a time from 1s to 1year",
            r#"test.toml:18: log.level: "loud" is not one of "error", "warn", "info", "debug", "trace""#,
            "test.toml: mail.from: it is missing; write in [mail], for example: from = \"no-reply@example.com\"",
            "test.toml: mail.smtp_host: it is missing; write in [mail], for example: smtp_host = \"smtp.example.com\"",
        ]
    );
}

#[test]
fn an_empty_file_names_every_key_that_must_be_written() {
    let lines = complaints("");
    for key in [
        "doors.in_office",
        "doors.out_of_office",
        "upstream.url",
        "mail.from",
        "mail.smtp_host",
    ] {
        let of_key = |line: &&String| line.starts_with(&format!("test.toml: {key}: it is missing"));
        assert_eq!(lines.iter().filter(of_key).count(), 1, "{key}");
    }
    assert_eq!(lines.len(), 5);
}

#[test]
fn unknown_keys_are_refused_wherever_they_stand() {
    for (more, expected) in [
        (
            "[nonsense]\na = 1",
            "test.toml:10: nonsense: there is no such section; remove it",
        ),
        (
            "[mail.more]\na = 1",
            "test.toml:10: mail.more: there is no such section",
        ),
        (
            "[sessions]\npath = \"/\"",
            "test.toml:11: sessions.path: there is no such key; remove it",
        ),
        ("[sessions]\nlevel = \"info\"", "did you mean log.level?"),
        (
            "[[sessions]]\nidle = \"1h\"",
            "test.toml:10: sessions: it is a section; write [sessions] on a line of its own",
        ),
        (
            "[passwords]\nhashing = 1",
            "test.toml:11: passwords.hashing: it is a section",
        ),
        (
            "[passwords.hashing]\nmemroy = 1",
            "test.toml:11: passwords.hashing.memroy: there is no such key; did you mean memory?",
        ),
        (
            "[\"passwords.hashing\"]\npasses = 2",
            "test.toml:10: passwords.hashing: there is no such section",
        ),
        ("[sessions]\n\"a\\nb\" = 1", "sessions.a\\nb: there is no such key"),
    ] {
        let line = complaint(more);
        assert!(line.contains(expected), "{line}");
    }
    let top = complaints(&format!("\"sessions.idle\" = \"1h\"\n{LEAST}"));
    assert!(
        top[0].starts_with("test.toml:1: sessions.idle: there is no such key"),
        "{top:?}"
    );
}

#[test]
fn a_key_that_has_become_a_rule_says_which() {
    assert_eq!(
        complaint("[limits]\nsign_in_per_client = \"5 per 1h\""),
        "test.toml:11: limits.sign_in_per_client: it is now the rule sign-in.client of the policy file; write its quota \
         there, and the file into limits.policy"
    );
    for key in [
        "sign_in_per_account",
        "sign_in_per_client_and_account",
        "reset_per_client",
        "reset_per_email",
        "link_per_client",
        "token_per_client",
        "pages_per_client",
    ] {
        let line = complaint(&format!("[limits]\n{key} = 5"));
        assert!(
            line.starts_with(&format!("test.toml:11: limits.{key}: it is now the rule ")),
            "{line}"
        );
    }
}

#[test]
fn the_policies_of_the_limits_lie_beside_the_configuration() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("sekisho.toml");
    std::fs::write(
        &file,
        format!("{LEAST}\n[limits]\npolicy = \"limits.toml\"\ncandidate = \"/else/where.toml\""),
    )
    .unwrap();
    let limits = Config::load(&file).unwrap().limits;
    assert_eq!(limits.policy, Some(home.path().join("limits.toml")));
    assert_eq!(limits.candidate, Some("/else/where.toml".into()));
    let twice = complaint("[limits]\npolicy = \"one.toml\"\ncandidate = \"one.toml\"");
    assert_eq!(
        twice,
        "test.toml:12: limits.candidate: it is the policy in force; name another file"
    );
}

#[test]
fn a_password_written_into_the_file_is_refused_and_not_repeated() {
    for more in [
        "password = \"hunter2\"",
        "smtp_password = \"hunter2\"",
        "password_file = [\"hunter2\"]",
    ] {
        assert!(!complaint(more).contains("hunter2"), "{more}");
    }
    let url = LEAST.replace("http://127", "http://me:hunter2@127");
    let door = LEAST.replace("https://phone.ex", "https://me:hunter2@phone.ex");
    for text in [url, door] {
        let lines = complaints(&text);
        assert!(lines.len() == 1 && !lines[0].contains("hunter2"), "{lines:?}");
    }
}

#[test]
fn keys_that_contradict_each_other_are_reported_once_at_the_line_to_change() {
    for (more, expected) in [
        (
            "[sessions]\nidle = \"8d\"",
            "test.toml:11: sessions.idle: \"8d\" is longer than sessions.absolute, which is \"7d\"",
        ),
        (
            "[sessions]\nabsolute = \"1h\"",
            "test.toml:11: sessions.absolute: \"8h\" is longer than",
        ),
        (
            "[routes]\nlogout = \"/login\"",
            "test.toml:11: routes.logout: \"/login\" is routes.login as well",
        ),
        (
            "[routes]\nlogin = \"/.sekisho/login\"",
            "is taken by the gateway itself",
        ),
        (
            "[store]\ndirectory = \"/etc\"",
            "test.toml:11: store.directory: /etc/sekisho/secrets is inside store.directory",
        ),
        (
            "[secrets]\ndirectory = \"/var/lib/../lib/sekisho/x\"",
            "test.toml:11: secrets.directory: ",
        ),
        (
            "username = \"me\"",
            "test.toml:10: mail.username: it needs mail.password_file",
        ),
        (
            "password_file = \"/x\"",
            "test.toml:10: mail.password_file: it needs mail.username",
        ),
        (
            "[server]\nmax_connections = 100",
            "test.toml:11: server.max_connections: 500 is more than",
        ),
        (
            "[server]\nlisten = [\"0.0.0.0:5000\"]",
            "upstream.url: it is the gateway itself, which listens on 0.0.0.0:5000",
        ),
    ] {
        let line = complaint(more);
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn bounds_are_kept_on_both_sides() {
    for (section, key, fits, wrong) in [
        (
            "assertion",
            "life",
            vec!["\"5s\"", "\"5m\""],
            vec!["\"4s\"", "\"301s\"", "\"0s\""],
        ),
        ("assertion", "rotate_every", vec!["\"1h\""], vec!["\"59m\""]),
        (
            "assertion",
            "algorithm",
            vec!["\"ES256\"", "\"EdDSA\""],
            vec!["\"HS256\"", "\"none\"", "\"es256\""],
        ),
        (
            "passwords",
            "min_chars",
            vec!["8", "64"],
            vec!["7", "65", "-1", "12.0", "\"12\""],
        ),
        (
            "passwords",
            "max_chars",
            vec!["64", "1024", "0x100"],
            vec!["63", "1025", "99999999999999999999"],
        ),
        ("passwords", "min_score", vec!["0", "4"], vec!["5", "-1", "256"]),
        (
            "passwords.hashing",
            "memory",
            vec!["\"8 MiB\"", "\"1 GiB\"", "\"19456 KiB\""],
            vec!["\"8191 KiB\"", "\"2 GiB\"", "\"9000001 B\"", "19456"],
        ),
        ("passwords.hashing", "passes", vec!["1", "20"], vec!["0", "21"]),
        (
            "server",
            "trusted_proxies",
            vec!["[]", "[\"10.0.0.1\"]"],
            vec!["[\"0.0.0.0/0\"]", "[\"::/0\"]", "\"10.0.0.1\""],
        ),
        (
            "server",
            "listen",
            vec!["[\"[::]:443\"]"],
            vec!["[]", "\"[::]:443\"", "[\"443\"]"],
        ),
        ("mail", "smtp_port", vec!["1", "65535"], vec!["0", "65536", "\"25\""]),
        ("branding", "accent", vec!["\"#A0b1C2\""], vec!["\"red\"", "\"#fff\""]),
        ("sessions", "cookie", vec!["\"__Host-x\""], vec!["\"sekisho\""]),
    ] {
        let header = if section == "mail" {
            String::new()
        } else {
            format!("[{section}]\n")
        };
        for value in fits {
            let text = format!("{LEAST}{header}{key} = {value}");
            assert!(parse(&text).is_ok(), "{key} = {value}: {}", parse(&text).unwrap_err());
        }
        for value in wrong {
            let line = complaint(&format!("{header}{key} = {value}"));
            assert!(line.contains(&format!("{section}.{key}: ")), "{key} = {value}: {line}");
        }
    }
}

#[test]
fn text_that_is_not_toml_is_one_error_with_its_line() {
    for (text, line) in [
        ("[server]\nlisten = \n[doors]", 2),
        ("a = 1\na = 2", 2),
        ("[server", 1),
        ("\n\nx = \"a\nb\"", 3),
    ] {
        let lines = complaints(text);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with(&format!("test.toml:{line}: this is not TOML: ")),
            "{lines:?}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_line_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("sekisho.toml");
    let line = Config::load(&missing).unwrap_err().to_string();
    assert!(
        line.starts_with(&format!("{}: there is no such file; start from", missing.display())),
        "{line}"
    );
    assert!(
        Config::load(dir.path())
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
    std::fs::write(&missing, b"\xff\xfe").unwrap();
    assert!(Config::load(&missing).unwrap_err().to_string().contains("not text"));
    std::fs::write(&missing, LEAST).unwrap();
    assert_eq!(Config::load(&missing), Ok(Config::default()));
}

#[test]
fn what_weakens_the_gateway_is_said() {
    assert_eq!(Config::default().warnings(), []);
    let weak = parse(&format!(
        "{LEAST}security = \"danger_plain\"\n[limits]\nenabled = false\n[access]\npublic = [\"/*\"]\n[metrics]\nlisten = \"0.0.0.0:9464\""
    ));
    let keys: Vec<_> = weak
        .unwrap()
        .warnings()
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    assert_eq!(
        keys,
        ["mail.security", "limits.enabled", "metrics.listen", "access.public"]
    );
    let open = parse(&format!(
        "{LEAST}[access]\nrules = [\"groups ops /admin/*\", \"public /*\"]\nbearer = [\"/*\", \"GET /admin/x\", \"/api/*\"]"
    ));
    let keys: Vec<_> = open
        .unwrap()
        .warnings()
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    let bearer = "access.bearer";
    assert_eq!(keys, ["access.rules", bearer, bearer, bearer]);
    let typing_error = parse(&format!(
        "{LEAST}[access]\nrules = [\"deny /admin/* at phone.exmaple.com\"]"
    ));
    let warnings = typing_error.unwrap().warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].to_string().contains("the host of no door"),
        "{}",
        warnings[0]
    );
}

#[test]
fn metrics_have_an_address_of_their_own() {
    let both = "[server]\nlisten = [\"127.0.0.1:8443\"]\n[metrics]\nlisten = \"127.0.0.1:8443\"";
    assert!(
        complaint(both).contains("an address of their own"),
        "{}",
        complaint(both)
    );
    assert!(parse(&format!("{LEAST}{both}\nenabled = false")).is_ok());
    let any = both.replace("8443", "0");
    assert!(parse(&format!("{LEAST}{any}")).is_ok(), "the system chooses two");
    assert!(Config::default().metrics.enabled && Config::default().metrics.listen.ip().is_loopback());
}

#[test]
fn a_port_that_is_taken_by_another_key_is_complained_about() {
    for (lists, complaint_about) in [
        (
            r#"listen = ["0.0.0.0:443", "192.0.2.1:443"]"#,
            "192.0.2.1:443 is listened on as 0.0.0.0:443",
        ),
        (
            r#"redirect_listen = ["0.0.0.0:80", "127.0.0.1:80"]"#,
            "127.0.0.1:80 is listened on as 0.0.0.0:80",
        ),
        (
            r#"redirect_listen = ["192.0.2.1:8443"]"#,
            "192.0.2.1:8443 is in server.listen too",
        ),
        (
            r#"redirect_listen = ["[::1]:8443"]"#,
            "[::1]:8443 is in server.listen too",
        ),
        (
            r#"listen = ["[::]:9464", "0.0.0.0:9464"]"#,
            "127.0.0.1:9464 is in server.listen too",
        ),
    ] {
        let said = complaint(&format!("[server]\n{lists}"));
        assert!(said.contains(complaint_about), "{said}");
    }
    let apart = "[server]\nlisten = [\"192.0.2.1:443\", \"192.0.2.2:443\"]\nredirect_listen = [\"192.0.2.3:443\"]";
    assert!(parse(&format!("{LEAST}{apart}")).is_ok());
}

#[test]
fn a_proxy_that_asks_is_trusted_about_its_client() {
    let asking = "[server]\ntrusted_proxies = [\"10.0.0.0/24\"]\n[forward_auth]\nproxies = [\"10.0.0.5/32\"]";
    assert!(parse(&format!("{LEAST}{asking}")).is_ok());
    for networks in ["", "\"10.0.0.6/32\"", "\"10.0.0.4/31\", \"10.0.0.0/30\""] {
        let other = asking.replace("\"10.0.0.0/24\"", networks);
        let fits = networks.contains("/31");
        assert_eq!(parse(&format!("{LEAST}{other}")).is_ok(), fits, "{networks}");
    }
    let wider = asking.replace("10.0.0.5/32", "10.0.0.0/16");
    assert!(
        complaint(&wider).contains("10.0.0.0/16 is not in server.trusted_proxies"),
        "{}",
        complaint(&wider)
    );
    let everybody = asking
        .replace("10.0.0.5/32", "0.0.0.0/0")
        .replace("10.0.0.0/24", "0.0.0.0/0");
    let everybody = everybody.replace("[server]", "[server]\ndanger_trust_everything = true");
    assert!(
        complaint(&everybody).contains("forward_auth.proxies"),
        "{}",
        complaint(&everybody)
    );
    assert_eq!(Config::default().forward_auth.proxies, []);
}

#[test]
fn the_demo_stays_on_this_machine() {
    let demo = parse(DEMO).unwrap();
    assert!(
        demo.server
            .addresses()
            .all(|address| address.ip().is_loopback() && address.port() == 8443)
    );
    assert_eq!(demo.doors.in_office.origin(), "https://localhost:8443");
    assert_eq!(demo.doors.out_of_office.origin(), "https://sekisho.localhost:8443");
    assert_eq!(demo.upstream.servers, [host(false, "127.0.0.1", 8081)]);
    assert_eq!(
        (demo.mail.smtp_port, demo.mail.security),
        (2525, MailSecurity::DangerPlain)
    );
    assert_eq!(demo.warnings(), []);
}

/// Judges a value by the parts of JSON Schema that the schema uses, patterns and formats apart.
fn conforms(value: &Json, schema: &Json) -> bool {
    let bounds = |number: u64| {
        let bound = |name: &str| schema[name].as_u64();
        bound("minimum").is_none_or(|least| number >= least) && bound("maximum").is_none_or(|most| number <= most)
    };
    if let Some(ways) = schema["anyOf"].as_array() {
        return ways.iter().any(|way| conforms(value, way));
    }
    match schema["type"].as_str().unwrap() {
        "boolean" => value.is_boolean(),
        "integer" => value.as_u64().is_some_and(bounds),
        "string" => value.is_string() && schema["enum"].as_array().is_none_or(|words| words.contains(value)),
        "array" => value.as_array().is_some_and(|elements| {
            elements.len() as u64 >= schema["minItems"].as_u64().unwrap()
                && elements.iter().all(|element| conforms(element, &schema["items"]))
        }),
        "object" => value.as_object().is_some_and(|object| {
            let (known, other) = (&schema["properties"], &schema["additionalProperties"]);
            assert!(*other == false || other.is_object());
            let of = |key: &String| known.get(key).or_else(|| other.is_object().then_some(other));
            object
                .iter()
                .all(|(key, value)| of(key).is_some_and(|schema| conforms(value, schema)))
                && schema["required"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        other => panic!("unexpected type {other}"),
    }
}

#[test]
fn the_schema_accepts_what_the_reader_accepts_and_refuses_strangers() {
    let schema = Config::schema();
    let json = |text: &str| serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
    for text in [EXAMPLE, LEAST, DEMO, &example_in_full()] {
        assert!(conforms(&json(text), &schema));
    }
    assert!(!conforms(&json(""), &schema));
    for more in [
        "x = 1",
        "[nonsense]",
        "[passwords]\nmin_chars = 7",
        "[log]\nlevel = \"loud\"",
        "[server]\nlisten = []",
        "[sites.wiki]\npath = \"/wiki\"",
        "[sites.wiki]\nupstream.url = \"http://a\"\nnonsense = 1",
    ] {
        assert!(!conforms(&json(&format!("{LEAST}{more}")), &schema), "{more}");
    }
}

#[test]
fn every_key_of_the_schema_is_explained_and_its_default_is_the_readers() {
    fn visit(schema: &Json, shown: &Json, path: &str) {
        for (key, value) in schema["properties"].as_object().unwrap() {
            let path = format!("{path}.{key}");
            assert!(
                value["description"].as_str().is_some_and(|doc| doc.ends_with('.')),
                "{path}"
            );
            match value.get("default") {
                _ if value["type"] == "object" => visit(value, &shown[key], &path),
                Some(default) => assert_eq!(default, &shown[key], "{path}"),
                None => assert!(value["examples"].is_array(), "{path}"),
            }
        }
    }
    let shown = Config::default().show().parse::<toml::Table>().unwrap();
    visit(&Config::schema(), &serde_json::to_value(shown).unwrap(), "");
}

#[test]
fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
    for deep in [
        "[".repeat(100_000),
        "{a=".repeat(100_000),
        format!("{}\n", "a.".repeat(100_000)),
    ] {
        assert_eq!(complaints(&format!("x = {deep}")).len(), 1);
    }
    assert!(parse(&format!("{}b = 1", "a.".repeat(10_000))).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_document_makes_the_reader_panic(
        section in "(server|doors|upstream|mail|passwords|passwords\\.hashing|access|nonsense)",
        key in "(listen|in_office|url|from|min_chars|memory|public|hashing|\"\\PC{0,6}\")",
        value in "(-?[0-9]{1,25}|0x[0-9a-f]{1,20}|-?[0-9]{1,3}\\.[0-9]e[0-9]{1,4}|inf|true|\\[\\[\\], \\{\\}\\]|\"[^\"\\\\\\p{C}]{0,20}\"|1979-05-27|\\{ a = 1 \\})",
    ) {
        let _ = parse(&format!("{LEAST}\n[{section}]\n{key} = {value}"));
        let _ = parse(&format!("[{section}]\n{key} = {value}"));
    }

    #[test]
    fn no_damage_to_the_example_makes_the_reader_panic(
        at in 0..EXAMPLE.len(),
        cut in 0_usize..40,
        insert in "\\PC{0,8}|[\\[\\]{}=\"'#\n.]{0,4}",
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        bytes.splice(at..(at + cut).min(EXAMPLE.len()), insert.bytes());
        let text = String::from_utf8_lossy(&bytes);
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.0.is_empty());
            prop_assert_eq!(errors.to_string().lines().count(), errors.0.len());
        }
    }
}

/// Two sites beside the main one.
const SITES: &str = r#"
[sites.wiki]
doors.in_office = "https://wiki.office.example.com"
doors.out_of_office = "https://wiki.example.com"
upstream = { url = "http://127.0.0.1:5001", preserve_host = false }
access.rules = ["groups editors /edit/*"]
[sites.reports]
path = "/reports"
upstream.url = "http://127.0.0.1:5002"
assertion.audience = "reports"
"#;

#[test]
fn further_sites_are_described_like_the_main_one() {
    let config = parse(&format!("{LEAST}{SITES}")).unwrap();
    let sites = config.all_sites();
    let names: Vec<_> = sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["main", "wiki", "reports"]);
    let [main, wiki, reports] = sites.as_slice() else {
        panic!("{sites:?}");
    };
    assert_eq!((&main.upstream, &main.doors), (&config.upstream, &config.doors));
    assert_eq!(wiki.doors.out_of_office.origin(), "https://wiki.example.com");
    assert!(!wiki.upstream.preserve_host && reports.upstream.preserve_host);
    assert_eq!(reports.doors, config.doors, "those of the main site");
    let audiences: Vec<_> = sites.iter().map(|site| site.audience.as_str()).collect();
    assert_eq!(audiences, ["sekisho-upstream", "sekisho-upstream-wiki", "reports"]);
    assert!(main.policy.rules().is_empty() && wiki.policy.rules().len() == 1);
    assert_eq!(parse(&config.show()), Ok(config));
    assert_eq!(Config::default().sites, [], "the example names a site only to show how");
}

#[test]
fn what_a_site_closes_is_not_reached_by_the_body_of_a_request_to_another_one_on_its_host_and_server() {
    let guards = |path: &str, more: &str| {
        let site = format!("[sites.wiki]\npath = {path:?}\naccess.rules = [\"groups editors /wiki/*\"]");
        let config = parse(&format!("{LEAST}{site}\n{more}\n")).unwrap();
        let main = config.all_sites().remove(0);
        assert_eq!(main.policy.rules(), config.policy.rules());
        main.policy.guards_from("REPORT")
    };
    let own = "upstream.url = \"http://127.0.0.1:5001\"";
    let same = "upstream.url = [\"http://127.0.0.1:5000\", \"http://127.0.0.1:5001\"]";
    let doors =
        "doors.in_office = \"https://wiki.office.example.com\"\ndoors.out_of_office = \"https://wiki.example.com\"";
    assert!(guards("/wiki", same));
    assert!(!guards("/wiki", own) && !guards("/", &format!("{same}\n{doors}")));
}

#[test]
fn what_is_wrong_with_a_site_is_said_with_its_line() {
    for (more, expected) in [
        ("[sites]", None),
        (
            "sites = 1",
            Some("test.toml:1: sites: write [sites.wiki] on a line of its own"),
        ),
        (
            "[sites.wiki]",
            Some("test.toml:10: sites.wiki.upstream.url: it is missing; write in [sites.wiki.upstream]"),
        ),
        (
            "[sites.Wiki]",
            Some("test.toml:10: sites.Wiki: the name of a site is made of lower-case letters"),
        ),
        (
            "[sites.main]",
            Some("test.toml:10: sites.main: the main site has this name"),
        ),
        (
            "[sites.\"a.b\"]",
            Some("test.toml:10: sites.a.b: the name of a site is made of"),
        ),
        (
            "[sites]\nwiki = 1",
            Some("test.toml:11: sites.wiki: it is a section; write [sites.wiki] on a line of its own"),
        ),
        (
            "[sites.wiki]\nupstream.url = \"http://a\"",
            Some("test.toml:10: sites.wiki.path: https://phone.office.example.com/ is the site main as well"),
        ),
        (
            "[sites.wiki]\npath = \"/Wiki\"\nupstream.url = \"http://a\"",
            Some("test.toml:11: sites.wiki.path: \"/Wiki\": write the path plainly"),
        ),
        (
            "[sites.wiki]\npath = \"/.well-known\"\nupstream.url = \"http://a\"",
            Some("sites.wiki.path: \"/.well-known\" would cover /.well-known/sekisho/jwks.json"),
        ),
        (
            "[sites.wiki]\npath = \"/.sekisho/x\"\nupstream.url = \"http://a\"",
            Some("sites.wiki.path: \"/.sekisho/x\" is taken by the gateway itself"),
        ),
        (
            "[sites.wiki]\npath = \"/w\"\nupstream.url = \"http://a\"\nassertion.audience = \"sekisho-upstream\"",
            Some("test.toml:13: sites.wiki.assertion.audience: \"sekisho-upstream\" is the audience of the site main"),
        ),
        (
            "[sites.wiki]\npath = \"/w\"\nupstream.url = \"http://a\"\nupstream.cafile = 1\naudience = \"x\"",
            None,
        ),
        (
            "[sites.wiki]\npath = \"/w\"\nupstream.url = \"http://0.0.0.0:8443\"",
            Some("test.toml:12: sites.wiki.upstream.url: it is the gateway itself, which listens on 0.0.0.0:8443"),
        ),
    ] {
        let text = match more.strip_prefix("sites =") {
            Some(_) => format!("{more}\n{LEAST}"),
            None => format!("{LEAST}{more}"),
        };
        match (expected, parse(&text)) {
            (Some(expected), _) => {
                let lines = complaints(&text);
                assert!(lines.iter().any(|line| line.contains(expected)), "{more}: {lines:#?}");
                assert_eq!(lines.len(), if more == "[sites.wiki]" { 2 } else { 1 }, "{lines:#?}");
            }
            (None, Ok(config)) => assert_eq!(config.sites, []),
            (None, Err(errors)) => {
                let told = errors.to_string();
                for unknown in [
                    "test.toml:13: sites.wiki.upstream.cafile: there is no such key; did you mean ca_file?",
                    "test.toml:14: sites.wiki.audience: there is no such key",
                ] {
                    assert!(told.contains(unknown), "{told}");
                }
            }
        }
    }
}

#[test]
fn a_rule_that_no_request_of_its_site_meets_is_warned_of() {
    let warned = |rules: &str| {
        let site = format!("[sites.wiki]\npath = \"/wiki\"\nupstream.url = \"http://a\"\naccess.rules = [{rules}]");
        let config = parse(&format!("{LEAST}{site}")).unwrap();
        let warnings = config.warnings();
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for rule in [
        "deny /*",
        "deny /wiki/*",
        "deny /wiki",
        "deny /*/edit",
        "deny /wiki/a at phone.example.com",
    ] {
        assert_eq!(warned(&format!("{rule:?}")), [""; 0], "{rule}");
    }
    for rule in [
        "deny /edit/*",
        "deny /wikis/*",
        "deny /",
        "deny /wiki/a at wiki.example.com",
    ] {
        let told = warned(&format!("{rule:?}"));
        assert_eq!(told.len(), 1, "{rule}: {told:?}");
        assert!(told[0].starts_with("sites.wiki.access.rules: \"deny /"), "{told:?}");
    }
}

#[test]
fn a_rule_for_what_somebody_else_answers_is_warned_of() {
    let warned = |rules: &str, office: &str| {
        let site = format!("[sites.wiki]\npath = \"/wiki\"\nupstream.url = \"http://a\"\n{office}");
        let config = parse(&format!("{LEAST}[access]\n{rules}\n{site}")).unwrap();
        let warnings = config.warnings();
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (rule, why) in [
        ("deny /login", "the gateway answers there itself"),
        ("deny /login/", "the gateway answers there itself"),
        ("deny /.sekisho/*", "the gateway answers there itself"),
        ("public /.sekisho/session", "the gateway answers there itself"),
        (
            "public /.well-known/sekisho/jwks.json",
            "the gateway answers there itself",
        ),
        (
            "deny /wiki",
            "belongs to the site wiki; write it in sites.wiki.access.rules",
        ),
        ("deny /wiki/*", "belongs to the site wiki"),
        ("groups admins /wiki/admin/*", "belongs to the site wiki"),
    ] {
        let told = warned(&format!("rules = [{rule:?}]"), "");
        assert_eq!(told.len(), 1, "{rule}: {told:?}");
        assert!(
            told[0].starts_with("access.rules: ") && told[0].contains(why),
            "{told:?}"
        );
    }
    for rule in [
        "deny /login/help",
        "deny /login/*",
        "deny /.well-known/*",
        "deny /*/wiki",
        "deny /wik",
        "deny /wikis/*",
    ] {
        assert_eq!(warned(&format!("rules = [{rule:?}]"), ""), [""; 0], "{rule}");
    }
    let office = "doors.in_office = \"https://wiki.example.com\"\ndoors.out_of_office = \"https://wiki.example.com\"\n[sites.w2]\nupstream.url = \"http://a\"\ndoors.in_office = \"https://wiki.example.com\"\ndoors.out_of_office = \"https://wiki.example.com\"";
    assert_eq!(warned("rules = [\"deny /wiki/*\"]", office), [""; 0], "on other hosts");
}

#[test]
fn a_size_that_never_decides_is_warned_of() {
    let lines = "max_body_paths = [\"4 GiB /up/*\", \"64 KiB /up/x\", \"1 MiB /api/*\"]";
    let warnings = parse(&with_upstream(lines)).unwrap().warnings();
    let told: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("upstream.max_body_paths: \"64 KiB /up/x\" never decides anything: \"4 GiB /up/*\""),
        "{told:?}"
    );
}
