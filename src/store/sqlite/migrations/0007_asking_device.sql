-- The device a reset was asked for on: its id and the marks of its accounts, as in its cookie but without the signature
-- that makes a cookie of them.
ALTER TABLE letters ADD COLUMN device BLOB;
