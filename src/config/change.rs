//! What differs between two configurations, key by key, and what of it only a restart brings into force.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Config;
use super::keys::values::Values;

const SOCKETS: &str = "the sockets are opened at the start";
const CERTIFICATE: &str = "which files hold certificates is read at the start; what is in them is taken up by itself";
const HANDSHAKE: &str = "how connections begin is set up at the start";
const CONNECTIONS: &str = "connections are counted and timed by what the gateway started with";
const HASHING: &str = "the hashing threads and their memory are set up at the start";

/// Every key that a running gateway cannot take up, with the reason. All others are taken up by a reload.
pub const RESTART: &[(&str, &str)] = &[
    ("server.listen", SOCKETS),
    ("server.tls_certificate", CERTIFICATE),
    ("server.tls_key", CERTIFICATE),
    ("server.more_certificates", CERTIFICATE),
    ("server.tls_min", HANDSHAKE),
    ("server.client_certificates", HANDSHAKE),
    ("server.client_ca_file", HANDSHAKE),
    ("server.proxy_protocol", HANDSHAKE),
    ("server.redirect_listen", SOCKETS),
    ("server.acme_directory", SOCKETS),
    ("server.header_timeout", CONNECTIONS),
    ("server.idle_timeout", CONNECTIONS),
    ("server.max_streams_per_connection", HANDSHAKE),
    ("server.max_connections", CONNECTIONS),
    ("server.max_connections_per_client", CONNECTIONS),
    ("server.drain_timeout", CONNECTIONS),
    ("server.upgrade_timeout", CONNECTIONS),
    (
        "store.directory",
        "the database is opened at the start and held until the end",
    ),
    (
        "secrets.directory",
        "the secrets are read at the start, and what they keyed would not fit others",
    ),
    (
        "sessions.outage_grace",
        "the sessions in memory are remembered by what the gateway started with",
    ),
    ("passwords.hashing.memory", HASHING),
    ("passwords.hashing.passes", HASHING),
    ("passwords.hashing.threads", HASHING),
    ("passwords.hashing.queue", HASHING),
    (
        "assertion.algorithm",
        "the signing keys in use were made for the other algorithm",
    ),
    (
        "metrics.enabled",
        "what watches over the gateway is set up at the start",
    ),
    ("metrics.listen", SOCKETS),
    ("log.format", "the log is opened at the start"),
];

/// Why this key waits for a restart; `None` when it does not.
pub fn why_restart(key: &str) -> Option<&'static str> {
    RESTART.iter().find(|(known, _)| *known == key).map(|(_, why)| *why)
}

/// One key with another value. No value is a secret: secrets are in files, and the configuration only names those.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The key with its section.
    pub key: String,
    /// Its value in force; `None` when it has none.
    pub before: Option<String>,
    /// Its value in the new configuration; `None` when it has none.
    pub after: Option<String>,
    /// Why only a restart brings it into force; `None` when a reload does.
    pub restart: Option<Cow<'static, str>>,
}

impl Config {
    /// Each key that has a value, defaults included, as it would be written in the file.
    pub fn values(&self) -> BTreeMap<String, String> {
        let mut values = Values::default();
        self.clone().walk(&mut values);
        values.finish()
    }

    /// What `new` changes in this configuration, which is in force. Keys that wait for a restart are compared with the
    /// configuration that the gateway `started` with, so that they are named as long as they wait.
    pub fn changes(&self, started: &Self, new: &Self) -> Vec<Change> {
        let (current, started, new) = (self.values(), started.values(), new.values());
        let keys: BTreeSet<&String> = current.keys().chain(started.keys()).chain(new.keys()).collect();
        keys.into_iter()
            .filter_map(|key| {
                let restart = why_restart(key);
                let known = if restart.is_some() { &started } else { &current };
                let (before, after) = (known.get(key), new.get(key));
                (before != after).then(|| Change {
                    key: key.clone(),
                    before: before.cloned(),
                    after: after.cloned(),
                    restart: restart.map(Cow::Borrowed),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Values of all kinds: of each key one can be read, and differs from what it has.
    const OTHERS: &[&str] = &[
        "true",
        "false",
        "1",
        "2",
        "3",
        "20",
        "100",
        "700",
        "[700]",
        "[500]",
        "\"1s\"",
        "\"5s\"",
        "\"20s\"",
        "\"40s\"",
        "\"6h\"",
        "\"9h\"",
        "\"30d\"",
        "\"24 KiB\"",
        "\"9 MiB\"",
        "[\"9 MiB /other\"]",
        "\"7 per 1h\"",
        "\"tls\"",
        "\"http2\"",
        "\"forwarded\"",
        "\"least-connections\"",
        "\"nist\"",
        "\"EdDSA\"",
        "\"json\"",
        "\"debug\"",
        "\"ja\"",
        "\"#123456\"",
        "\"127.0.0.9:9999\"",
        "[\"127.0.0.9:9999\"]",
        "\"x@example.org\"",
        "\"https://other.example.org\"",
        "\"http://127.0.0.1:5999\"",
        "\"mail.example.org\"",
        "\"__Host-other\"",
        "\"/other\"",
        "\"/other.svg\"",
        "[\"/other\"]",
        "[\"deny /other\"]",
        "[\"10.0.0.9/32\"]",
        "\"X-Other\"",
        "\"other\"",
        "[\"other\"]",
        "\"1.3\"",
        "[\"https://app.example.org /api/*\"]",
        "\"optional\"",
        "[\"x@example.org\"]",
        "\"new-password\"",
        "[{ certificate = \"/other.pem\", key = \"/other.key\" }]",
    ];

    /// Keys that mean nothing without another one.
    const TOGETHER: &[(&str, &str)] = &[
        (
            "sites.wiki.doors.in_office",
            "sites.wiki = { path = \"/\", doors = { out_of_office = \"https://third.example.org\" } }",
        ),
        (
            "sites.wiki.doors.out_of_office",
            "sites.wiki = { path = \"/\", doors = { in_office = \"https://third.example.org\" } }",
        ),
        ("mail.username", "mail.password_file = \"/other\""),
        ("mail.password_file", "mail.username = \"other\""),
        ("upstream.client_certificate", "upstream.client_key = \"/other\""),
        ("upstream.client_key", "upstream.client_certificate = \"/other\""),
        (
            "sites.wiki.upstream.client_certificate",
            "sites.wiki.upstream.client_key = \"/other\"",
        ),
        (
            "sites.wiki.upstream.client_key",
            "sites.wiki.upstream.client_certificate = \"/other\"",
        ),
        ("server.client_certificates", "server.client_ca_file = \"/other\""),
        ("upstream.server_name", "upstream.url = \"https://127.0.0.1:5999\""),
        ("forward_auth.proxies", "server.trusted_proxies = [\"10.0.0.9/32\"]"),
    ];

    fn every_key() -> Vec<String> {
        let lines = Config::documented();
        let lines = lines.lines().map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key,
            _ => line,
        });
        let full: Vec<_> = lines.collect();
        let full = Config::parse(&full.join("\n"), Path::new("full")).unwrap();
        full.values().into_keys().collect()
    }

    fn running() -> toml::Table {
        let site = "[sites.wiki]\npath = \"/wiki\"\nupstream.url = \"http://127.0.0.1:5001\"\n";
        format!("{}{site}", Config::default().show()).parse().unwrap()
    }

    fn put(table: &mut toml::Table, key: &str, value: toml::Value) {
        match key.split_once('.') {
            None => drop(table.insert(key.to_owned(), value)),
            Some((section, rest)) => {
                let inner = table
                    .entry(section.to_owned())
                    .or_insert_with(|| toml::Table::new().into());
                put(inner.as_table_mut().unwrap(), rest, value);
            }
        }
    }

    /// The configuration with another value of this key.
    fn with_another(key: &str, running: &toml::Table, values: &BTreeMap<String, String>) -> Option<Config> {
        let fits = |text: &&&str| values.get(key).is_none_or(|known| kind_of(known) == kind_of(text));
        OTHERS.iter().filter(fits).find_map(|text| {
            let mut table = running.clone();
            for (_, more) in TOGETHER.iter().filter(|(known, _)| *known == key) {
                let more: toml::Table = more.parse().unwrap();
                for (section, inner) in more {
                    for (name, value) in flat(&section, inner) {
                        put(&mut table, &name, value);
                    }
                }
            }
            let value: toml::Table = format!("value = {text}").parse().unwrap();
            put(&mut table, key, value["value"].clone());
            let other = Config::parse(&table.to_string(), Path::new("other")).ok()?;
            (other.values().get(key) != values.get(key)).then_some(other)
        })
    }

    /// Texts, lists, numbers and switches are told apart by how they begin.
    fn kind_of(value: &str) -> u8 {
        match value.as_bytes() {
            [first @ (b'"' | b'['), ..] => *first,
            [b't' | b'f', ..] => b't',
            _ => b'0',
        }
    }

    fn flat(path: &str, value: toml::Value) -> Vec<(String, toml::Value)> {
        match value {
            toml::Value::Table(table) => table
                .into_iter()
                .flat_map(|(name, inner)| flat(&format!("{path}.{name}"), inner))
                .collect(),
            value => vec![(path.to_owned(), value)],
        }
    }

    #[test]
    fn a_change_of_any_key_is_either_taken_up_or_named_as_waiting_for_a_restart() {
        let running = running();
        let config = Config::parse(&running.to_string(), Path::new("running")).unwrap();
        let values = config.values();
        let keys = every_key();
        assert!(keys.len() > 90, "{}", keys.len());
        let mut without = Vec::new();
        for key in keys {
            let Some(other) = with_another(&key, &running, &values) else {
                without.push(key);
                continue;
            };
            let changes = config.changes(&config, &other);
            let change = changes.iter().find(|change| change.key == key);
            let change = change.unwrap_or_else(|| panic!("{key} is not named: {changes:?}"));
            assert_eq!(change.restart.as_deref(), why_restart(&key), "{key}");
            // Once it is in force there is nothing left to say; what waits is said until the restart.
            let again = other.changes(&config, &other);
            let waits = |change: &&Change| change.restart.is_some();
            assert_eq!(
                again,
                changes.iter().filter(waits).cloned().collect::<Vec<_>>(),
                "{key}"
            );
        }
        assert!(without.is_empty(), "no other value for these: {without:?}");
    }

    #[test]
    fn what_waits_for_a_restart_is_a_key_with_a_reason() {
        let keys = every_key();
        for (key, why) in RESTART {
            assert!(keys.iter().any(|known| known == key), "{key} is no key");
            assert!(!why.is_empty() && !why.ends_with('.'), "{key}: {why}");
        }
    }
}
