-- Whoever changes keys waits for the writes that are under way, and lets none be written with keys as they were before.
-- Volatile, so that the number is read when the lock is there.
CREATE FUNCTION panless_keys_are_of(seen bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(22625124476090740);  -- "PanKeys", and one
  RETURN seen = (SELECT number FROM key_changes);
END $$;
REVOKE ALL ON FUNCTION panless_keys_are_of(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION panless_keys_are_of(bigint) TO panless_proxy;
