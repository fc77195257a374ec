-- One hash chain per writer. `body` is what is hashed; the other columns repeat parts of it for queries.
CREATE TABLE audit_events (
  chain      uuid NOT NULL,
  seq        bigint NOT NULL,
  hash       bytea NOT NULL,
  body       bytea NOT NULL,
  at         timestamptz NOT NULL,
  action     text NOT NULL,
  outcome    text NOT NULL,
  app        text,
  route      text,
  request_id text,
  tokens     text[] NOT NULL,
  PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_events_at ON audit_events USING brin (at);
CREATE INDEX audit_events_tokens ON audit_events USING gin (tokens);

-- The proxy appends, and may read only what it needs to continue its chain.
GRANT INSERT, SELECT (chain, seq, hash) ON audit_events TO panless_proxy;
GRANT SELECT ON audit_events TO panless_auditor;
