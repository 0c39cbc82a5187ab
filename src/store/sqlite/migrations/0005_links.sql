-- The life of a link: which letter carried it ('page' when it was printed), how often it was opened and when last,
-- and when it ended.
ALTER TABLE tickets ADD COLUMN way TEXT;
ALTER TABLE tickets ADD COLUMN openings BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tickets ADD COLUMN opened_at BIGINT;
ALTER TABLE tickets ADD COLUMN ended_at BIGINT;
