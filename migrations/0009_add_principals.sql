-- What an application is known by: a key, by its SHA-256, or a client certificate, by that of its DER.
ALTER TABLE app_keys
  ADD COLUMN kind text NOT NULL DEFAULT 'key' CHECK (kind IN ('key', 'certificate')),
  ADD COLUMN expires_at timestamptz,
  ADD COLUMN last_used_at timestamptz;

-- People of the admin side: one may run Panless, one reads the audit log, one approves.
CREATE TABLE operators (
  name       text PRIMARY KEY,
  role       text NOT NULL CHECK (role IN ('operator', 'auditor', 'approver')),
  created_at timestamptz NOT NULL
);
CREATE TABLE operator_keys (
  digest       bytea PRIMARY KEY,
  operator     text NOT NULL REFERENCES operators (name),
  created_at   timestamptz NOT NULL,
  revoked_at   timestamptz,
  kind         text NOT NULL DEFAULT 'key' CHECK (kind IN ('key', 'certificate')),
  expires_at   timestamptz,
  last_used_at timestamptz
);
CREATE INDEX operator_keys_operator ON operator_keys (operator);

-- Requests to see one value, once. Nothing of a value stands here.
CREATE TABLE break_glass (
  id           uuid PRIMARY KEY,
  token        uuid NOT NULL,
  tenant       text NOT NULL,
  reason       text NOT NULL,
  requested_by text NOT NULL REFERENCES operators (name),
  requested_at timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  approved_by  text REFERENCES operators (name) CHECK (approved_by <> requested_by),
  approved_at  timestamptz,
  revealed_at  timestamptz,
  CHECK (revealed_at IS NULL OR approved_at IS NOT NULL)
);

GRANT SELECT ON operators, operator_keys TO panless_proxy;
GRANT UPDATE (last_used_at) ON app_keys, operator_keys TO panless_proxy;
