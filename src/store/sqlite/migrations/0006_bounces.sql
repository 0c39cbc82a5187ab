-- Whether a letter leaves at the rate of crowds: Welcomes do, and all letters of an import. Those of an import that
-- wait are told by their due time.
ALTER TABLE letters ADD COLUMN paced INTEGER NOT NULL DEFAULT FALSE;
UPDATE letters SET paced = TRUE
WHERE matter = 'welcome' OR (matter = 'email-changed' AND status = 'waiting' AND attempts = 0 AND due_at > created_at);

-- Where a letter went, and what was reported about it after the mail server had taken it ('failed' or 'delayed').
ALTER TABLE letters ADD COLUMN sent_to TEXT;
ALTER TABLE letters ADD COLUMN bounce TEXT;
ALTER TABLE letters ADD COLUMN bounce_status TEXT;
ALTER TABLE letters ADD COLUMN bounce_words TEXT;
ALTER TABLE letters ADD COLUMN bounced_at BIGINT;

-- Addresses to which mail bounces for good, until a later letter to them is taken.
CREATE TABLE dead_addresses (
    email_key     TEXT   NOT NULL PRIMARY KEY, -- as compared
    bounce_status TEXT,
    bounce_words  TEXT,
    bounced_at    BIGINT NOT NULL
);

-- How many messages to the return address told nothing, by reason.
CREATE TABLE ignored_reports (
    reason TEXT   NOT NULL PRIMARY KEY,
    count  BIGINT NOT NULL
);
