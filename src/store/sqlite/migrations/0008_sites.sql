-- The site at whose host a reset was asked for; none is the main one.
ALTER TABLE letters ADD COLUMN site TEXT;
