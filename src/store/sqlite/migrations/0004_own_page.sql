-- When the password was last given in a session; before, that was its beginning.
ALTER TABLE sessions ADD COLUMN authenticated_at BIGINT NOT NULL DEFAULT 0;
UPDATE sessions SET authenticated_at = created_at;

-- What a browser said about itself, for letters about a sign-in.
ALTER TABLE letters ADD COLUMN user_agent TEXT;
