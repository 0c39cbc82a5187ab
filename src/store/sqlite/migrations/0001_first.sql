-- Times are Unix milliseconds, ids are text, digests are the 32 bytes of a SHA-256.

CREATE TABLE accounts (
    id              TEXT   NOT NULL PRIMARY KEY,
    extension       TEXT   NOT NULL UNIQUE,
    name            TEXT   NOT NULL,
    email           TEXT,            -- as typed
    email_key       TEXT,            -- as compared; several accounts may share one
    role            TEXT   NOT NULL,
    groups_json     TEXT   NOT NULL, -- a JSON array of texts
    language        TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    generation      BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    password_hash   TEXT,
    password_set_at BIGINT,
    last_sign_in_at BIGINT
);
CREATE INDEX accounts_by_email ON accounts (email_key);

CREATE TABLE sessions (
    id           TEXT   NOT NULL PRIMARY KEY,
    digest       BLOB   NOT NULL UNIQUE,
    account      TEXT   NOT NULL REFERENCES accounts (id),
    generation   BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    client       TEXT   NOT NULL,
    user_agent   TEXT   NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account);

CREATE TABLE tickets (
    digest     BLOB   NOT NULL PRIMARY KEY,
    account    TEXT   NOT NULL REFERENCES accounts (id),
    purpose    TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended      TEXT
);
CREATE INDEX tickets_by_account ON tickets (account);

-- A letter names facts, never a token. It outlives its account: the worker then withholds it.
CREATE TABLE letters (
    id          TEXT   NOT NULL PRIMARY KEY,
    matter      TEXT   NOT NULL,
    account     TEXT,
    email       TEXT,
    client      TEXT,
    created_at  BIGINT NOT NULL,
    status      TEXT   NOT NULL,
    attempts    BIGINT NOT NULL,
    due_at      BIGINT NOT NULL,
    taken_until BIGINT,
    words       TEXT,
    ended_at    BIGINT
);
CREATE INDEX letters_waiting ON letters (created_at, id) WHERE status = 'waiting';
CREATE INDEX letters_by_age ON letters (created_at, id);

CREATE TABLE events (
    id      TEXT   NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    client  TEXT,
    account TEXT,
    name    TEXT   NOT NULL,
    detail  TEXT
);
CREATE INDEX events_by_time ON events (at, id);
CREATE INDEX events_by_account ON events (account, at, id);

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
CREATE TRIGGER events_never_vanish BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

-- What running servers must hear of. A number is never used again, also after rows were swept.
CREATE TABLE changes (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    at   BIGINT NOT NULL,
    kind TEXT   NOT NULL,
    id   TEXT   NOT NULL
);

CREATE TABLE signing_keys (
    kid        TEXT   NOT NULL PRIMARY KEY,
    algorithm  TEXT   NOT NULL,
    sealed     BLOB   NOT NULL,
    public_jwk TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT
);
