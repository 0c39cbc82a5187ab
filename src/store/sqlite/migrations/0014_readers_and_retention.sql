-- Who reads a notice of a changed address, so that it can be written when the account is no more.
ALTER TABLE letters ADD COLUMN reader_name TEXT;
ALTER TABLE letters ADD COLUMN reader_extension TEXT;
ALTER TABLE letters ADD COLUMN reader_language TEXT;
UPDATE letters
SET (reader_name, reader_extension, reader_language)
    = (SELECT name, extension, language FROM accounts WHERE accounts.id = letters.account)
WHERE matter = 'email-changed' AND status = 'waiting';

-- Events may be deleted once they are older than the operator wants them kept, and no younger one ever.
CREATE TABLE events_kept (
    since BIGINT NOT NULL
);
INSERT INTO events_kept (since) VALUES (-9223372036854775808);
DROP TRIGGER events_never_vanish;
CREATE TRIGGER events_never_vanish BEFORE DELETE ON events
WHEN OLD.at >= coalesce((SELECT since FROM events_kept), -9223372036854775808)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
