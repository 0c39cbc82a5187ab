-- The rights to make one browser known for an account, and the name that was typed by whoever asked for one.
CREATE TABLE unlocks (
    digest     BLOB   NOT NULL PRIMARY KEY,
    account    TEXT   NOT NULL REFERENCES accounts (id),
    letter     TEXT   NOT NULL,
    sent_to    TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at   BIGINT
);
CREATE INDEX unlocks_by_account ON unlocks (account, created_at);
ALTER TABLE letters ADD COLUMN login TEXT;
