//! Every metric by name, in one list. docs/metrics.md explains each; a test keeps the two equal.

/// One metric.
#[derive(Debug)]
pub struct Name {
    /// As it is registered: a counter is exposed with `_total`, an info with `_info`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// One line for whoever reads the exposition.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// How often how much.
    Histogram,
    /// Always 1; its labels say something.
    Info,
}

impl Kind {
    /// As the exposition names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

impl Name {
    /// The name that is queried.
    pub fn exposed(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Info => format!("{}_info", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

macro_rules! names {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Name = Name {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// All of them, in the order of the exposition.
        pub const ALL: &[Name] = &[$($constant),*];
    };
}

names! {
    REQUESTS = Counter "sekisho_requests" ["outcome", "status"] "Requests on the public listeners";
    REQUEST_DURATION = Histogram "sekisho_request_duration_seconds" ["outcome"]
        "From the end of a request's head to the end of its answer, streams left out";
    UPSTREAM_ERRORS = Counter "sekisho_upstream_errors" ["kind"] "Requests that the web client did not answer properly";
    CONNECTIONS = Gauge "sekisho_connections" [] "Open connections of clients";
    CONNECTIONS_ACCEPTED = Counter "sekisho_connections_accepted" [] "Connections taken";
    CONNECTIONS_REFUSED = Counter "sekisho_connections_refused" ["reason"]
        "Connections refused since too many were open, or since the client is banned";
    SLOW_CLIENTS = Counter "sekisho_slow_clients" ["at"]
        "Clients cut off since they were too slow, at sending a head or a form, or at taking an answer";
    HANDSHAKE_FAILURES = Counter "sekisho_tls_handshake_failures" ["reason"] "TLS handshakes that came to nothing";
    BREACHES = Counter "sekisho_protocol_breaches" ["kind"]
        "What was refused before it was a request: heads that are none, frames that break HTTP/2, floods of them";
    STREAMS = Gauge "sekisho_streams" ["kind"] "Open streams: of a WebSocket, of events, and other answers without a known end";
    STREAMS_ENDED = Counter "sekisho_streams_ended" ["kind", "reason"] "Streams that have ended";

    EVENTS = Counter "sekisho_events" ["name"] "Events recorded by the gateway or a command";
    SIGN_INS = Counter "sekisho_sign_ins" ["result", "reason"] "Attempts to sign in";
    RESETS = Counter "sekisho_resets" ["result", "reason"] "Requests for a new password, and what became of them";
    LINKS = Counter "sekisho_links" ["purpose", "step"] "Steps in the life of links";
    LINKS_REFUSED = Counter "sekisho_links_refused" ["reason"] "Links presented that no longer work";
    LETTERS = Counter "sekisho_letters" ["kind", "result"] "Letters, and what became of them";
    SESSIONS_BEGUN = Counter "sekisho_sessions_begun" [] "Sessions begun";
    SESSIONS_ENDED = Counter "sekisho_sessions_ended" ["reason"] "Acts that end one session or all of an account";
    SESSIONS_SWEPT = Counter "sekisho_sessions_swept" [] "Stored sessions removed after their time was over";

    LIMIT_DECISIONS = Counter "sekisho_limit_decisions" ["rule", "decision"] "What the limits said, by rule";
    LIMIT_TRIALS = Counter "sekisho_limit_trials" ["rule", "decision"]
        "What the policy on trial would have said, by rule; it stops nobody";
    LIMITS_REFUSED = Gauge "sekisho_limits_refused" ["file"]
        "1 while this policy file of the limits is refused and the former policy stays in force";
    ORDERS = Gauge "sekisho_orders" ["kind"] "Bans by kind, exemptions and an applied policy that are in force";
    ATTEMPTS_UNRECORDED = Counter "sekisho_attempts_unrecorded" []
        "Attempts that were not written down, since too many came at once or the store took none";
    HASHING_RUNNING = Gauge "sekisho_hashing_running" [] "Passwords being hashed";
    HASHING_QUEUED = Gauge "sekisho_hashing_queued" ["lane"] "Passwords waiting for a hashing thread";
    HASHING_COMPLETED = Counter "sekisho_hashing_completed" [] "Passwords hashed";
    HASHING_SHED = Counter "sekisho_hashing_shed" ["lane"] "Passwords refused since the queue was full";
    HASHING_ABANDONED = Counter "sekisho_hashing_abandoned" [] "Passwords not hashed since whoever asked had gone";
    HASHING_DURATION = Histogram "sekisho_hashing_duration_seconds" ["work"]
        "From asking for a hash to having it, the wait in the queue included";
    STORE_FAULTS = Counter "sekisho_store_faults" ["operation", "kind"] "Calls of the store that failed";
    OUTBOX_WAITING = Gauge "sekisho_outbox_waiting" [] "Letters that wait, those whose time has not come among them";
    OUTBOX_OLDEST_DUE = Gauge "sekisho_outbox_oldest_due_seconds" []
        "How long the letter that is overdue for longest has been due; 0 when none is";

    CAMPAIGNS = Gauge "sekisho_campaigns" ["kind"] "Attacks under way";
    CAMPAIGNS_BEGUN = Counter "sekisho_campaigns_begun" ["kind"] "Attacks noticed";
    CAMPAIGN_SUCCESSES = Counter "sekisho_campaign_successes" ["kind"] "Sign-ins that worked and belong to an attack";
    ATTEMPTS_MISSED = Counter "sekisho_attempts_missed" []
        "Attempts that were not looked at for attacks since too many came at once";

    SIGNING_KEY_CREATED = Gauge "sekisho_signing_key_created_timestamp_seconds" []
        "When the signing key in use was made, in Unix time";
    CERTIFICATE_EXPIRY = Gauge "sekisho_certificate_expiry_timestamp_seconds" []
        "When the TLS certificate being served expires, in Unix time";
    SUSPECTED_PROXIES = Gauge "sekisho_suspected_proxies" []
        "Addresses that most people come from, and that nobody has declared";
    HEALTH = Gauge "sekisho_health" ["part"] "1 when the part works, 0 when not; missing until it was seen";
    UPSTREAM_SERVERS = Gauge "sekisho_upstream_servers" ["site", "state"]
        "Servers of the web clients: in, which are sent requests, and out";
    BUILD = Info "sekisho_build" ["version"] "Which program this is";
    CONFIG = Info "sekisho_config" ["digest", "limits", "mail_security"] "Which configuration is in effect";
    START_TIME = Gauge "process_start_time_seconds" [] "When the process started, in Unix time";
}
