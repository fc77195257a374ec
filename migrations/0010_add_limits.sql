-- The limits of a token's own: how often, until when, on which routes and towards which gateways it may be revealed.
ALTER TABLE tokens
  ADD COLUMN max_uses integer,
  ADD COLUMN uses     integer NOT NULL DEFAULT 0,
  ADD COLUMN routes   text[],
  ADD COLUMN gateways text[];
CREATE INDEX tokens_expires_at ON tokens (expires_at) WHERE expires_at IS NOT NULL;

-- To whom tokens belong, in the application's own words.
CREATE TABLE token_customers (
  tenant   text NOT NULL,
  customer text NOT NULL,
  token    uuid NOT NULL,
  PRIMARY KEY (tenant, customer, token)
);
CREATE INDEX token_customers_token ON token_customers (token);

-- Tokens whose records are gone. Of a card-shaped token the fingerprint stays, too: no other card may get its digits.
CREATE TABLE ended_tokens (
  token  uuid PRIMARY KEY,
  tenant text NOT NULL,
  reason text NOT NULL CHECK (reason IN ('erased', 'expired')),
  at     timestamptz NOT NULL
);
DROP INDEX fingerprints_card_tokens;
CREATE INDEX fingerprints_token ON fingerprints (token);

-- How much was revealed: by subject (app:NAME, route:NAME, token:ID, ...) and window of so many seconds.
CREATE TABLE reveal_counts (
  subject text NOT NULL,
  seconds integer NOT NULL,
  began   timestamptz NOT NULL,
  count   bigint NOT NULL,
  PRIMARY KEY (subject, seconds, began)
) WITH (fillfactor = 50);
CREATE INDEX reveal_counts_began ON reveal_counts (began);

-- Who has to wait: until a time, or until an operator says otherwise.
CREATE TABLE stops (
  subject text NOT NULL,
  rule    text NOT NULL,
  since   timestamptz NOT NULL,
  until   timestamptz,
  PRIMARY KEY (subject, since)
);

-- The proxy may delete neither tokens nor stops; this deletes those whose time is up by the database's own clock.
CREATE FUNCTION panless_purge(most integer) RETURNS TABLE (purged uuid, tenant text)
LANGUAGE sql SECURITY DEFINER AS $$
  WITH due AS (
    SELECT token FROM tokens WHERE expires_at <= clock_timestamp() ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
  ), gone AS (
    DELETE FROM tokens USING due WHERE tokens.token = due.token RETURNING tokens.token, tokens.tenant
  ), marks AS (
    DELETE FROM fingerprints USING gone WHERE fingerprints.token = gone.token AND card_token IS NULL
  ), owners AS (
    DELETE FROM token_customers USING gone WHERE token_customers.token = gone.token
  ), leases AS (
    DELETE FROM cvc_leases USING gone WHERE cvc_leases.card = gone.token
  ), waited AS (
    DELETE FROM stops WHERE until < clock_timestamp() - interval '1 minute'
  )
  INSERT INTO ended_tokens SELECT token, tenant, 'expired', clock_timestamp() FROM gone RETURNING token, ended_tokens.tenant
$$;
REVOKE ALL ON FUNCTION panless_purge(integer) FROM PUBLIC;
DO $$ BEGIN  -- no schema of the caller's, temporary or not, comes before that of the tables
  EXECUTE format('ALTER FUNCTION panless_purge(integer) SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$;

GRANT UPDATE (uses) ON tokens TO panless_proxy;
GRANT SELECT, INSERT ON token_customers, stops TO panless_proxy;
GRANT SELECT ON ended_tokens TO panless_proxy;
GRANT SELECT, INSERT, UPDATE (count), DELETE ON reveal_counts TO panless_proxy;
GRANT EXECUTE ON FUNCTION panless_purge(integer) TO panless_proxy;
