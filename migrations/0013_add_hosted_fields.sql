-- Keys that stand in the pages of shops: whose tokens hosted fields make, and on which origins. They are no secret.
CREATE TABLE publishable_keys (
  id         uuid PRIMARY KEY,
  name       text NOT NULL,
  tenant     text NOT NULL,
  origins    text[] NOT NULL,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE UNIQUE INDEX publishable_keys_name ON publishable_keys (name) WHERE revoked_at IS NULL;

-- Sessions of hosted fields that were used: each is good for one request. Those whose time is up need not be known.
CREATE TABLE used_sessions (
  id   uuid PRIMARY KEY,
  ends timestamptz NOT NULL
);
CREATE INDEX used_sessions_ends ON used_sessions (ends);

GRANT SELECT ON publishable_keys TO panless_proxy;
GRANT SELECT, INSERT, DELETE ON used_sessions TO panless_proxy;
