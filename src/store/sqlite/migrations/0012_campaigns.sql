-- Attacks, each as one record of bounded size; nothing in it tells what was typed.
CREATE TABLE campaigns (
    id          TEXT   NOT NULL PRIMARY KEY,
    kind        TEXT   NOT NULL,
    began_at    BIGINT NOT NULL,
    last_at     BIGINT NOT NULL,
    ended_at    BIGINT,
    record_json TEXT   NOT NULL -- all of it, what the other columns say included
);
CREATE INDEX campaigns_by_last ON campaigns (last_at);
CREATE INDEX campaigns_living ON campaigns (id) WHERE ended_at IS NULL;

-- The hash of a password that was taken away since others know it: it is not set again.
ALTER TABLE accounts ADD COLUMN closed_hash TEXT;

-- The attack that a letter tells an administrator of.
ALTER TABLE letters ADD COLUMN campaign TEXT;
