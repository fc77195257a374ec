-- Key states are those of NIST SP 800-57 part 1, section 7.
CREATE TABLE keks (
  id             text PRIMARY KEY,
  tenant         text NOT NULL,           -- '': of every tenant that has none of its own
  provider       text NOT NULL,
  state          text NOT NULL CHECK (state IN ('pre-active', 'active', 'deactivated', 'compromised', 'destroyed')),
  created_at     timestamptz NOT NULL,
  activated_at   timestamptz,
  deactivated_at timestamptz,
  compromised_at timestamptz,
  destroyed_at   timestamptz
);
CREATE UNIQUE INDEX keks_active ON keks (tenant) WHERE state = 'active';
INSERT INTO keks (id, tenant, provider, state, created_at, activated_at)
SELECT DISTINCT ON (kek) kek, '', 'file', 'active', created_at, created_at FROM data_keys ORDER BY kek, created_at;

ALTER TABLE data_keys
  DROP CONSTRAINT data_keys_purpose_check,
  DROP CONSTRAINT data_keys_state_check,
  ADD CHECK (purpose IN ('seal', 'fingerprint', 'signing', 'process')),
  ADD CHECK (state IN ('pre-active', 'active', 'deactivated', 'compromised', 'destroyed')),
  ALTER COLUMN wrapped DROP NOT NULL,     -- a destroyed key is not there any more
  ADD COLUMN public_key bytea,            -- of a signing key, Ed25519
  ADD COLUMN activated_at timestamptz,
  ADD COLUMN compromised_at timestamptz,
  ADD COLUMN destroyed_at timestamptz;
UPDATE data_keys SET activated_at = created_at;
CREATE UNIQUE INDEX data_keys_pre_active ON data_keys (tenant, purpose) WHERE state = 'pre-active';

ALTER TABLE authorities DROP CONSTRAINT authorities_state_check, ALTER COLUMN wrapped DROP NOT NULL;
DROP INDEX authorities_state;
UPDATE authorities SET state = CASE state WHEN 'next' THEN 'pre-active' WHEN 'retired' THEN 'deactivated' ELSE state END;
ALTER TABLE authorities
  ADD CHECK (state IN ('pre-active', 'active', 'deactivated', 'compromised', 'destroyed')),
  ADD COLUMN deactivated_at timestamptz,
  ADD COLUMN compromised_at timestamptz,
  ADD COLUMN destroyed_at timestamptz;
CREATE UNIQUE INDEX authorities_state ON authorities (state) WHERE state IN ('pre-active', 'active');

-- Which key a fingerprint was made with: two are in use while the fingerprint key is rotated.
ALTER TABLE fingerprints ADD COLUMN data_key uuid;
UPDATE fingerprints SET data_key = data_keys.id FROM tokens, data_keys
WHERE tokens.token = fingerprints.token AND data_keys.tenant = tokens.tenant AND data_keys.purpose = 'fingerprint';
ALTER TABLE fingerprints ALTER COLUMN data_key SET NOT NULL;
CREATE INDEX fingerprints_card_tokens ON fingerprints (token) WHERE card_token IS NOT NULL;

-- Raised by whoever changes keys; every process looks at it each second, and forgets what it holds in memory.
CREATE TABLE key_changes (number bigint NOT NULL);
INSERT INTO key_changes VALUES (0);

-- The processes that run. `public_key` (X25519) is for the keys of verification codes, which only processes hold;
-- `mac` shows that a process with access to the KEK has written it. `providers`: where it can reach KEKs.
CREATE UNLOGGED TABLE processes (
  id         uuid PRIMARY KEY,
  host       text NOT NULL,
  pid        integer NOT NULL,
  providers  text[] NOT NULL,
  public_key bytea NOT NULL,
  mac        bytea,
  changes    bigint NOT NULL,             -- the number of the last key change that it has seen
  started_at timestamptz NOT NULL,
  seen_at    timestamptz NOT NULL
);
-- Keys of verification codes, each encrypted to the public key of one process, so that they end with the processes.
CREATE UNLOGGED TABLE lease_keys (
  id         uuid NOT NULL,
  process    uuid NOT NULL,
  encrypted  bytea NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (id, process)
);

GRANT SELECT, INSERT ON keks TO panless_proxy;
GRANT SELECT ON key_changes TO panless_proxy;
GRANT SELECT, INSERT, UPDATE, DELETE ON processes TO panless_proxy;
GRANT SELECT, INSERT, DELETE ON lease_keys TO panless_proxy;
