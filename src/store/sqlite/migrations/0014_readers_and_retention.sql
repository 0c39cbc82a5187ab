-- Who reads a notice of a changed address, so that it can be written when the account is no more.
ALTER TABLE letters ADD COLUMN reader_name TEXT;
ALTER TABLE letters ADD COLUMN reader_extension TEXT;
ALTER TABLE letters ADD COLUMN reader_language TEXT;
UPDATE letters
SET (reader_name, reader_extension, reader_language)
    = (SELECT name, extension, language FROM accounts WHERE accounts.id = letters.account)
WHERE matter = 'email-changed' AND status = 'waiting';
