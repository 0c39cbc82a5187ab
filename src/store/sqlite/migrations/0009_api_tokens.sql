-- What programs may use, and until when. Of the token itself only the digest is here.
CREATE TABLE api_tokens (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    digest      BLOB   NOT NULL UNIQUE,
    scopes_json TEXT   NOT NULL, -- a JSON array of texts
    groups_json TEXT   NOT NULL, -- a JSON array of texts
    created_by  TEXT   NOT NULL, -- as the actor of an event
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    revoked_at  BIGINT,
    used_at     BIGINT,
    used_from   TEXT
);
-- A name belongs to one token until that is revoked.
CREATE UNIQUE INDEX api_tokens_by_name ON api_tokens (name) WHERE revoked_at IS NULL;
