-- Certificate authorities of the forward proxy. Their private keys are wrapped by the KEK, bound to id and certificate.
CREATE TABLE authorities (
  id          uuid PRIMARY KEY,
  state       text NOT NULL CHECK (state IN ('next', 'active', 'retired')),
  certificate bytea NOT NULL,
  kek         text NOT NULL,
  wrapped     bytea NOT NULL,
  created_at  timestamptz NOT NULL,
  not_after   timestamptz NOT NULL
);
CREATE UNIQUE INDEX authorities_state ON authorities (state) WHERE state IN ('next', 'active');

GRANT SELECT ON authorities TO panless_proxy;
