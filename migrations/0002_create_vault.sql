-- Wrapped data keys. The KEK that wraps them is never in the database.
CREATE TABLE data_keys (
  id             uuid PRIMARY KEY,
  tenant         text NOT NULL,
  purpose        text NOT NULL CHECK (purpose IN ('seal', 'fingerprint')),
  state          text NOT NULL CHECK (state IN ('active', 'deactivated')),
  kek            text NOT NULL,
  wrapped        bytea NOT NULL,
  uses           bigint NOT NULL DEFAULT 0,
  created_at     timestamptz NOT NULL,
  deactivated_at timestamptz
);
CREATE UNIQUE INDEX data_keys_active ON data_keys (tenant, purpose) WHERE state = 'active';

CREATE TABLE tokens (
  token      uuid PRIMARY KEY,
  tenant     text NOT NULL,
  kind       text NOT NULL,
  data_key   uuid NOT NULL,
  sealed     bytea NOT NULL,
  brand      text,
  last4      text,
  created_at timestamptz NOT NULL,
  expires_at timestamptz
);

-- Apart from the tokens, so that each table is found by its own key.
CREATE TABLE fingerprints (
  fingerprint bytea PRIMARY KEY,
  token       uuid NOT NULL
);

-- Sensitive authentication data: unlogged, so that it is in no WAL, no replica and no base backup.
CREATE UNLOGGED TABLE cvc_leases (
  token      uuid PRIMARY KEY,
  card       uuid,
  tenant     text NOT NULL,
  data_key   uuid NOT NULL,
  sealed     bytea NOT NULL,
  attempts   integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX cvc_leases_card ON cvc_leases (card);
CREATE INDEX cvc_leases_expires_at ON cvc_leases (expires_at);

-- Raised by a batch whose picture of the vault was out of date; the writer looks again and repeats it.
CREATE FUNCTION panless_conflict(what text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'panless conflict' USING ERRCODE = 'PL001', DETAIL = what;
END $$;
REVOKE ALL ON FUNCTION panless_conflict(text) FROM PUBLIC;

GRANT SELECT, INSERT, UPDATE (state, uses, deactivated_at) ON data_keys TO panless_proxy;
GRANT SELECT, INSERT ON tokens, fingerprints TO panless_proxy;
GRANT SELECT, INSERT, UPDATE (attempts), DELETE ON cvc_leases TO panless_proxy;
GRANT EXECUTE ON FUNCTION panless_conflict(text) TO panless_proxy;
