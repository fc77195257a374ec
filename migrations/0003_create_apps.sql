CREATE TABLE apps (
  name       text PRIMARY KEY,
  tenant     text NOT NULL,
  created_at timestamptz NOT NULL
);

-- Keys are 256 random bits; only their SHA-256 digest is kept.
CREATE TABLE app_keys (
  digest     bytea PRIMARY KEY,
  app        text NOT NULL REFERENCES apps (name),
  created_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX app_keys_app ON app_keys (app);

GRANT SELECT ON apps, app_keys TO panless_proxy;
