-- Events on their way to applications: webhooks of gateways once they are verified, and what Panless itself has to tell.
-- `event` is the SHA-256 of what its sender knows it by: each one is taken once. Those that are `passed` were handed on
-- while their sender waited; `passing` is held until it is known whether they were. A `timeless` one could come again for
-- ever, so its row is never deleted, but its document is.
CREATE TABLE webhook_events (
  kind          text NOT NULL CHECK (kind IN ('webhook', 'operation')),
  route         text NOT NULL,
  event         bytea NOT NULL,
  id            uuid NOT NULL,
  number        bigint GENERATED ALWAYS AS IDENTITY,
  state         text NOT NULL CHECK (state IN ('passing', 'passed', 'pending', 'delivered', 'dead')),
  sequence      bytea,
  document      uuid,
  timeless      boolean NOT NULL,
  attempts      integer NOT NULL DEFAULT 0,
  next_run      timestamptz NOT NULL,
  deliver_until timestamptz NOT NULL,
  run           uuid,
  held_until    timestamptz,
  status        integer,
  code          text,
  received_at   timestamptz NOT NULL,
  ended_at      timestamptz,
  keep_until    timestamptz,
  PRIMARY KEY (kind, route, event)
);
CREATE UNIQUE INDEX webhook_events_id ON webhook_events (id);
CREATE INDEX webhook_events_due ON webhook_events (kind, route, next_run, number) WHERE state = 'pending';
CREATE INDEX webhook_events_sequence ON webhook_events (kind, route, sequence, number)
  WHERE sequence IS NOT NULL AND state = 'pending';
CREATE INDEX webhook_events_held ON webhook_events (run) WHERE run IS NOT NULL;
CREATE INDEX webhook_events_keep_until ON webhook_events (keep_until) WHERE keep_until IS NOT NULL;
CREATE INDEX webhook_events_number ON webhook_events (number);

GRANT SELECT, INSERT, DELETE ON webhook_events TO panless_proxy;
GRANT UPDATE (state, document, attempts, next_run, deliver_until, run, held_until, status, code, ended_at, keep_until)
  ON webhook_events TO panless_proxy;
