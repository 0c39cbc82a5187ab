-- What was tried, to try other policies on. Names and devices are digests under a key that is not in the store; of a
-- password nothing is here.
CREATE TABLE attempts (
    seq            INTEGER NOT NULL PRIMARY KEY,
    at             BIGINT  NOT NULL, -- nanoseconds since 1970, when it was decided over
    took           BIGINT  NOT NULL, -- nanoseconds until it was settled
    endpoint       INTEGER NOT NULL, -- numbers are explained where they are read
    client         BLOB    NOT NULL, -- 4 or 16 bytes
    budgets        INTEGER NOT NULL,
    account        BLOB,             -- 16 bytes, as the next two
    person         BLOB,
    device         BLOB,
    lane           INTEGER NOT NULL,
    outcome        INTEGER,
    active         INTEGER NOT NULL,
    active_rule    INTEGER REFERENCES attempt_rules (id),
    candidate      INTEGER,
    candidate_rule INTEGER REFERENCES attempt_rules (id)
);
CREATE INDEX attempts_by_time ON attempts (at);
-- Those that a policy stopped: the first to go when there are too many.
CREATE INDEX attempts_stopped ON attempts (at) WHERE outcome IS NULL;

-- The names of rules, each once.
CREATE TABLE attempt_rules (
    id   INTEGER NOT NULL PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
);
