-- The audit log as one Merkle tree (RFC 6962). `id` names it in checkpoints; events before leaf `begins` are archived.
CREATE TABLE audit_log (
  id     uuid NOT NULL,
  begins bigint NOT NULL DEFAULT 0
);
INSERT INTO audit_log (id) VALUES (gen_random_uuid());

-- `peaks`: the roots of the perfect subtrees, left to right, so that the next checkpoint needs no leaf of this one.
CREATE TABLE audit_checkpoints (
  number bigint PRIMARY KEY,
  size   bigint NOT NULL,
  peaks  bytea NOT NULL,
  note   text NOT NULL,
  at     timestamptz NOT NULL
);
CREATE UNIQUE INDEX audit_checkpoints_size ON audit_checkpoints (size);

-- Which events are which leaves: leaf `start` is event `first` of the chain, and so on to event `last`.
CREATE TABLE audit_ranges (
  start      bigint PRIMARY KEY,
  chain      uuid NOT NULL,
  first      bigint NOT NULL,
  last       bigint NOT NULL,
  checkpoint bigint NOT NULL
);
CREATE UNIQUE INDEX audit_ranges_chain ON audit_ranges (chain, last);

-- Up to where each sink has the log: the next leaf, or the next checkpoint's number.
CREATE TABLE audit_sinks (
  name     text PRIMARY KEY,
  position bigint NOT NULL
);

GRANT SELECT ON audit_log, audit_checkpoints, audit_ranges TO panless_proxy, panless_auditor;
GRANT INSERT ON audit_checkpoints, audit_ranges TO panless_proxy;
GRANT SELECT, INSERT, UPDATE (position) ON audit_sinks TO panless_proxy;
