-- What operators have decreed: bans, exemptions from the limits, and other policies for a while.
CREATE TABLE orders (
    id          TEXT   NOT NULL PRIMARY KEY,
    kind        TEXT   NOT NULL, -- 'ban', 'exemption' or 'policy'
    subject     TEXT   NOT NULL, -- whom or what it is about: 'address 203.0.113.7', '10.0.0.0/8', 'preset strict'
    policy_text TEXT,            -- of a policy from a file
    reason      TEXT,
    author      TEXT   NOT NULL,
    made_at     BIGINT NOT NULL,
    until       BIGINT,          -- from then on it is over by itself; NULL is never
    ended_at    BIGINT
);
CREATE INDEX orders_unended ON orders (kind, subject) WHERE ended_at IS NULL;

-- A number that rises with each order that is given or ended.
CREATE TABLE order_revision (
    number BIGINT NOT NULL
);
INSERT INTO order_revision (number) VALUES (0);
