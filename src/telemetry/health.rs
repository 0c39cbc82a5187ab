//! [`Health`]: how the parts that the gateway depends on were when they were last seen, each for itself.

use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

/// What the gateway depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The store can be read: without it nobody is let through for long.
    StoreRead,
    /// The store can be written: without it nobody signs in or sets a password.
    StoreWrite,
    /// The mail server took the last letter, or refused it for good, which is an answer too.
    Mail,
    /// The web client answered the last request.
    Upstream,
    /// There is a key to sign assertions with.
    SigningKey,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::StoreRead,
        Self::StoreWrite,
        Self::Mail,
        Self::Upstream,
        Self::SigningKey,
    ];

    /// The stable name in metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StoreRead => "store-read",
            Self::StoreWrite => "store-write",
            Self::Mail => "mail",
            Self::Upstream => "upstream",
            Self::SigningKey => "signing-key",
        }
    }

    /// Without these, people who are signed in are not served: send them elsewhere.
    const fn is_needed(self) -> bool {
        matches!(self, Self::StoreRead | Self::SigningKey)
    }
}

/// How the parts are.
#[derive(Debug, Default)]
pub struct Health {
    seen: [Seen; Part::ALL.len()],
    mail: Mutex<MailStanding>,
    servers: Servers,
    shared_addresses: Mutex<Vec<SharedAddress>>,
}

/// An address that many people share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedAddress {
    /// The address, of IPv6 its /64.
    pub address: IpAddr,
    /// How many people were seen there within a day.
    pub people: u32,
    /// How many there were in all.
    pub of: u32,
    /// Since when it is taken for a proxy that nobody has declared, in seconds of Unix time; `None` when it is declared to
    /// be shared.
    pub suspected_since: Option<i64>,
}

/// A server of a web client, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStanding {
    /// The site it serves.
    pub site: String,
    /// Its address.
    pub server: String,
    /// Whether it is sent requests.
    pub is_in: bool,
    /// Requests and streams that are there now.
    pub open: usize,
    /// Failures in a row.
    pub failures: u32,
}

/// Who knows how the servers stand: asked when somebody looks, so that no request has to tell.
#[derive(Default)]
struct Servers(OnceLock<Box<dyn Fn() -> Vec<ServerStanding> + Send + Sync>>);

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Servers")
    }
}

#[derive(Debug, Default)]
struct Seen {
    state: AtomicU8,
    /// Since when, in seconds of Unix time.
    since: AtomicI64,
}

/// How letters fare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailStanding {
    /// What the mail server last said: `accepted`, `deferred` or `rejected`.
    pub last: Option<&'static str>,
    /// When, in seconds of Unix time.
    pub last_at: Option<i64>,
    /// Letters that wait.
    pub waiting: u64,
    /// How long the most overdue of them has been due, in seconds.
    pub oldest_due_seconds: u64,
}

const UNKNOWN: u8 = 0;
const WELL: u8 = 1;
const UNWELL: u8 = 2;

impl Health {
    /// Notes how a part was found; `now` is asked only when that is news. Costs one read otherwise.
    pub fn note(&self, part: Part, well: bool, now: impl FnOnce() -> i64) {
        let state = if well { WELL } else { UNWELL };
        let seen = &self.seen[part as usize];
        if seen.state.load(Ordering::Relaxed) != state && seen.state.swap(state, Ordering::Relaxed) != state {
            seen.since.store(now(), Ordering::Relaxed);
        }
    }

    /// Whether a part works; `None` until it was seen.
    pub fn is_well(&self, part: Part) -> Option<bool> {
        match self.seen[part as usize].state.load(Ordering::Relaxed) {
            UNKNOWN => None,
            state => Some(state == WELL),
        }
    }

    /// Notes what the mail server said to a letter.
    pub fn note_letter(&self, said: &'static str, at: i64) {
        let mut mail = self.mail.lock();
        mail.last = Some(said);
        mail.last_at = Some(at);
    }

    /// Notes how many letters wait, and for how long.
    pub fn note_outbox(&self, waiting: u64, oldest_due_seconds: u64) {
        let mut mail = self.mail.lock();
        mail.waiting = waiting;
        mail.oldest_due_seconds = oldest_due_seconds;
    }

    /// From now on this says how the servers of the web clients stand.
    pub fn servers_by(&self, look: impl Fn() -> Vec<ServerStanding> + Send + Sync + 'static) {
        let _ = self.servers.0.set(Box::new(look));
    }

    /// How the servers of the web clients stand, site by site; nothing before the gateway is composed.
    pub fn servers(&self) -> Vec<ServerStanding> {
        self.servers.0.get().map_or_else(Vec::new, |look| look())
    }

    /// Notes which addresses many people share.
    pub fn note_shared_addresses(&self, addresses: Vec<SharedAddress>) {
        *self.shared_addresses.lock() = addresses;
    }

    /// Whether whoever is signed in can be served.
    pub fn is_ready(&self) -> bool {
        Part::ALL
            .into_iter()
            .filter(|part| part.is_needed())
            .all(|part| self.is_well(part) == Some(true))
    }

    /// Everything, for `/health/ready`.
    pub fn to_json(&self) -> Value {
        let parts: Map<String, Value> = Part::ALL
            .into_iter()
            .map(|part| {
                let state = match self.is_well(part) {
                    None => "unknown",
                    Some(true) => "well",
                    Some(false) => "unwell",
                };
                let since = self.seen[part as usize].since.load(Ordering::Relaxed);
                let since = self.is_well(part).map(|_| since);
                (part.as_str().to_owned(), json!({ "state": state, "since": since }))
            })
            .collect();
        let mail = self.mail.lock().clone();
        let shared = self.shared_addresses.lock().clone();
        let shared: Vec<Value> = shared
            .iter()
            .map(|shared| {
                json!({
                    "address": shared.address,
                    "people": shared.people,
                    "of": shared.of,
                    "suspected_since": shared.suspected_since,
                })
            })
            .collect();
        let servers: Vec<Value> = self
            .servers()
            .into_iter()
            .map(|server| {
                json!({
                    "site": server.site,
                    "server": server.server,
                    "state": if server.is_in { "in" } else { "out" },
                    "open": server.open,
                    "failures": server.failures,
                })
            })
            .collect();
        json!({
            "ready": self.is_ready(),
            "parts": parts,
            "servers": servers,
            "letters": {
                "last": mail.last,
                "last_at": mail.last_at,
                "waiting": mail.waiting,
                "oldest_due_seconds": mail.oldest_due_seconds,
            },
            "shared_addresses": shared,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_cannot_be_written_is_told_apart_from_one_that_cannot_be_read() {
        let health = Health::default();
        assert!(!health.is_ready(), "nothing has been seen yet");
        for part in [Part::StoreRead, Part::StoreWrite, Part::SigningKey] {
            health.note(part, true, || 100);
        }
        health.note(Part::StoreWrite, false, || 200);
        health.note(Part::StoreWrite, false, || 300);
        assert!(health.is_ready(), "whoever is signed in goes on");
        let told = health.to_json();
        assert_eq!(told["parts"]["store-write"], json!({ "state": "unwell", "since": 200 }));
        assert_eq!(told["parts"]["store-read"], json!({ "state": "well", "since": 100 }));
        assert_eq!(told["parts"]["upstream"], json!({ "state": "unknown", "since": null }));
        health.note(Part::StoreRead, false, || 400);
        assert!(!health.is_ready());
    }

    #[test]
    fn each_server_of_a_web_client_is_told_for_itself() {
        let health = Health::default();
        assert_eq!(health.to_json()["servers"], json!([]));
        health.servers_by(|| {
            vec![ServerStanding {
                site: "main".into(),
                server: "10.0.0.1:5000".into(),
                is_in: false,
                open: 2,
                failures: 3,
            }]
        });
        assert_eq!(
            health.to_json()["servers"],
            json!([{ "site": "main", "server": "10.0.0.1:5000", "state": "out", "open": 2, "failures": 3 }])
        );
    }

    #[test]
    fn an_address_that_many_people_share_is_told_and_closes_nothing() {
        let health = Health::default();
        for part in [Part::StoreRead, Part::SigningKey] {
            health.note(part, true, || 100);
        }
        assert_eq!(health.to_json()["shared_addresses"], json!([]));
        health.note_shared_addresses(vec![SharedAddress {
            address: IpAddr::from([10, 0, 0, 5]),
            people: 31,
            of: 32,
            suspected_since: Some(100),
        }]);
        assert_eq!(
            health.to_json()["shared_addresses"],
            json!([{ "address": "10.0.0.5", "people": 31, "of": 32, "suspected_since": 100 }])
        );
        assert!(health.is_ready());
    }

    #[test]
    fn how_letters_fare_is_told_with_how_long_they_have_waited() {
        let health = Health::default();
        health.note_letter("deferred", 100);
        health.note_outbox(3, 70);
        assert_eq!(
            health.to_json()["letters"],
            json!({ "last": "deferred", "last_at": 100, "waiting": 3, "oldest_due_seconds": 70 })
        );
    }
}
