-- Sealed requests, answers and events. They hold tokens, no card data; they are kept as long as what refers to them.
CREATE TABLE documents (
  id       uuid PRIMARY KEY,
  tenant   text NOT NULL,
  kind     text NOT NULL,
  data_key uuid NOT NULL,
  sealed   bytea NOT NULL
);

-- One row for each idempotency key of an application on a route (draft-ietf-httpapi-idempotency-key-header).
-- `digest` and `answer` are documents: of the
-- request, and what was answered. `run` is the one that holds it, until `held_until` unless it says again that it does.
CREATE TABLE idempotency (
  app        text NOT NULL,
  route      text NOT NULL,
  key        text NOT NULL,
  tenant     text NOT NULL,
  digest     uuid NOT NULL,
  state      text NOT NULL CHECK (state IN ('running', 'repeatable', 'unknown', 'done', 'settled')),
  run        uuid NOT NULL,
  protected  boolean NOT NULL,
  held_until timestamptz,
  request_id text NOT NULL,
  status     integer,
  code       text,
  answer     uuid,
  operation  uuid,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (app, route, key)
);
CREATE INDEX idempotency_expires_at ON idempotency (expires_at);
CREATE INDEX idempotency_run ON idempotency (run);
CREATE INDEX idempotency_held ON idempotency (held_until) WHERE state = 'running';

-- Asynchronous payments: the queue. `key` is the idempotency key that goes to the gateway,
-- which honours it, `app_key` the application's, `sequence` what of one
-- customer's is sent in order; its time to give up counts from `begun_at`.
CREATE TABLE operations (
  id         uuid PRIMARY KEY,
  number     bigint GENERATED ALWAYS AS IDENTITY,
  tenant     text NOT NULL,
  app        text NOT NULL,
  route      text NOT NULL,
  state      text NOT NULL
    CHECK (state IN ('pending', 'running', 'succeeded', 'failed', 'unknown', 'cancelled', 'dead')),
  key        text,
  app_key    text,
  sequence   text,
  request    uuid NOT NULL,
  attempts   integer NOT NULL DEFAULT 0,
  reached    boolean NOT NULL DEFAULT false,
  next_run   timestamptz NOT NULL,
  run        uuid,
  held_until timestamptz,
  status     integer,
  code       text,
  answer     uuid,
  request_id text NOT NULL,
  created_at timestamptz NOT NULL,
  begun_at   timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  ended_at   timestamptz
);
CREATE INDEX operations_due ON operations (route, next_run, number) WHERE state = 'pending';
CREATE INDEX operations_open ON operations (state, created_at) WHERE state IN ('pending', 'running');
CREATE INDEX operations_sequence ON operations (tenant, route, sequence, number)
  WHERE sequence IS NOT NULL AND state IN ('pending', 'running');
CREATE INDEX operations_held ON operations (held_until) WHERE state = 'running';
CREATE INDEX operations_app ON operations (app, number);
CREATE INDEX operations_ended ON operations (ended_at) WHERE ended_at IS NOT NULL;

GRANT SELECT, INSERT, DELETE ON documents TO panless_proxy;
GRANT SELECT, INSERT, DELETE ON idempotency, operations TO panless_proxy;
GRANT UPDATE (digest, state, run, held_until, request_id, status, code, answer, updated_at, expires_at)
  ON idempotency TO panless_proxy;
GRANT UPDATE (state, attempts, reached, next_run, run, held_until, status, code, answer, updated_at, ended_at)
  ON operations TO panless_proxy;
