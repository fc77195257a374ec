"""What the database itself refuses the proxy and the auditor, whatever Panless's code does."""

from __future__ import annotations

from contextlib import suppress

import asyncpg
import pytest

from vault.errors import RoleNotGranted
from vault.store.database import Database, Role

ALWAYS_REFUSED = [
    "SET ROLE postgres",
    "SET ROLE panless_owner",
    "SET SESSION AUTHORIZATION postgres",
    "CREATE TABLE mine (a integer)",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE audit_events DISABLE TRIGGER ALL",
    "ALTER TABLE audit_events ADD COLUMN mine integer",
    "ALTER TABLE tokens OWNER TO CURRENT_USER",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "SET log_statement = 'all'",
    "SET session_replication_role = 'replica'",
    "DROP TABLE audit_events",
    "DROP TABLE tokens",
    "DROP INDEX audit_events_tokens",
    "DROP FUNCTION panless_conflict(text)",
    "CREATE TRIGGER mine BEFORE INSERT ON tokens FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE mine AS ON DELETE TO audit_events DO INSTEAD NOTHING",
    "CREATE INDEX mine ON audit_events (at)",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "SELECT pg_read_file('postgresql.conf')",
    "DELETE FROM audit_events",
    "DELETE FROM audit_events WHERE false",
    "UPDATE audit_events SET body = ''",
    "UPDATE audit_events SET app = 'x' WHERE false",
    "TRUNCATE audit_events",
    "BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE",
    "DELETE FROM audit_checkpoints",
    "UPDATE audit_checkpoints SET note = ''",
    "DELETE FROM audit_ranges",
    "UPDATE audit_ranges SET start = 0",
    "UPDATE audit_log SET begins = 9",
    "UPDATE audit_sinks SET name = 'x'",
    "DELETE FROM audit_sinks",
    "UPDATE tokens SET tenant = 'x'",
    "UPDATE tokens SET sealed = ''",
    "DELETE FROM tokens",
    "TRUNCATE tokens",
    "UPDATE tokens SET max_uses = NULL",
    "UPDATE tokens SET expires_at = NULL",
    "UPDATE tokens SET routes = NULL",
    "UPDATE token_customers SET token = gen_random_uuid()",
    "DELETE FROM token_customers",
    "DELETE FROM stops",
    "UPDATE stops SET until = now()",
    "INSERT INTO ended_tokens VALUES (gen_random_uuid(), 'default', 'erased', now())",
    "DELETE FROM ended_tokens",
    "ALTER FUNCTION panless_purge(integer) RESET ALL",
    "CREATE OR REPLACE FUNCTION panless_purge(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "UPDATE fingerprints SET token = gen_random_uuid()",
    "DELETE FROM fingerprints",
    "DELETE FROM data_keys",
    "UPDATE data_keys SET wrapped = ''",
    "UPDATE data_keys SET tenant = 'x'",
    "UPDATE data_keys SET created_at = now()",
    "INSERT INTO apps VALUES ('mine', 'default', now())",
    "INSERT INTO app_keys VALUES ('\\x00', 'mine', now())",
    "UPDATE app_keys SET revoked_at = NULL",
    "UPDATE apps SET tenant = 'other'",
    "DELETE FROM app_keys",
    "UPDATE app_keys SET expires_at = NULL",
    "INSERT INTO operators VALUES ('mine', 'approver', now())",
    "INSERT INTO operator_keys (digest, operator, created_at) VALUES ('\\x00', 'mine', now())",
    "UPDATE operators SET role = 'approver'",
    "UPDATE operator_keys SET revoked_at = NULL",
    "SELECT token FROM break_glass",
    "UPDATE break_glass SET revealed_at = NULL",
    "UPDATE webhook_events SET event = ''",
    "UPDATE documents SET sealed = ''",
    "UPDATE authorities SET state = 'retired'",
    "DELETE FROM authorities",
    "INSERT INTO authorities VALUES (gen_random_uuid(), 'next', '', 'kek', '', now(), now())",
    "INSERT INTO panless_migrations VALUES (9999, 'x', '', now())",
    "DELETE FROM panless_migrations",
]

REFUSED_TO_PROXY = [
    "SELECT body FROM audit_events",
    "SELECT * FROM audit_events",
    "SELECT app FROM audit_events",
    "SELECT tokens FROM audit_events",
    "SELECT count(*) FROM audit_events WHERE app = 'x'",
    "INSERT INTO audit_events (chain, seq) VALUES (gen_random_uuid(), 1) RETURNING body",
    "COPY audit_events TO STDOUT",
    "UPDATE cvc_leases SET expires_at = now() + interval '1 year'",
    "UPDATE cvc_leases SET sealed = ''",
    "UPDATE cvc_leases SET card = NULL",
    "SET ROLE panless_auditor",
]

REFUSED_TO_AUDITOR = [
    "SELECT token FROM tokens",
    "SELECT last4 FROM tokens",
    "SELECT * FROM fingerprints",
    "SELECT * FROM cvc_leases",
    "SELECT * FROM data_keys",
    "SELECT id FROM data_keys",
    "SELECT * FROM apps",
    "SELECT digest FROM app_keys",
    "INSERT INTO audit_events (chain, seq) VALUES (gen_random_uuid(), 1)",
    "INSERT INTO audit_checkpoints VALUES (1, 1, '', '', now())",
    "UPDATE audit_sinks SET position = 0",
    "INSERT INTO tokens (token) VALUES (gen_random_uuid())",
    "INSERT INTO data_keys (id) VALUES (gen_random_uuid())",
    "UPDATE cvc_leases SET attempts = 0",
    "DELETE FROM cvc_leases",
    "SELECT panless_conflict('x')",
    "SELECT * FROM webhook_events",
    "SELECT * FROM documents",
    "SET ROLE panless_proxy",
]


async def assert_refused(database: Database, role: Role, sql: str) -> None:
    connection = await database.connect(role)
    try:
        assert await connection.fetchval("SELECT session_user || ' ' || current_user") == f"{role} {role}"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(sql)
    finally:
        await connection.close()


@pytest.mark.parametrize("sql", ALWAYS_REFUSED + REFUSED_TO_PROXY)
async def test_postgresql_refuses_the_proxy(migrated, sql):
    await assert_refused(migrated, Role.PROXY, sql)


@pytest.mark.parametrize("sql", ALWAYS_REFUSED + REFUSED_TO_AUDITOR)
async def test_postgresql_refuses_the_auditor(migrated, sql):
    await assert_refused(migrated, Role.AUDITOR, sql)


@pytest.mark.parametrize("role", [Role.PROXY, Role.AUDITOR])
async def test_nobody_but_the_owner_hands_out_rights(migrated, owner, role):
    connection = await migrated.connect(role)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"GRANT panless_owner TO {role}")
        for sql in ("GRANT ALL ON audit_events TO PUBLIC", "GRANT SELECT ON panless_migrations TO PUBLIC"):
            # Whoever has some right on a table, and none to grant it, gets a warning and not an error.
            with suppress(asyncpg.InsufficientPrivilegeError):
                await connection.execute(sql)
            assert not await granted(owner)
    finally:
        await connection.close()


async def test_a_right_that_was_handed_out_is_seen(owner):
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("GRANT SELECT ON tokens TO PUBLIC")
    assert await granted(owner)
    await transaction.rollback()


async def granted(owner) -> bool:
    """Tell whether PUBLIC has any right on our tables, or somebody became a member of the owner."""
    public = await owner.fetchval("""
        SELECT count(*) FROM pg_class, aclexplode(relacl) AS acl
        WHERE relnamespace = 'public'::regnamespace AND acl.grantee = 0""")
    members = await owner.fetchval("SELECT count(*) FROM pg_auth_members WHERE roleid = 'panless_owner'::regrole")
    return bool(public or members)


@pytest.mark.parametrize("role", ["panless_proxy", "panless_auditor"])
async def test_the_roles_have_no_rights_beside_their_tables(owner, role):
    row = await owner.fetchrow(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = $1",
        role,
    )
    assert not any(row)
    assert await owner.fetchval("SELECT count(*) FROM pg_auth_members WHERE member = $1::regrole", role) == 0


async def test_what_each_role_may_do_is_exactly_this(owner):
    """A new GRANT has to be written down here as well."""
    tables = await owner.fetch("""
        SELECT grantee, table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type)
        FROM information_schema.role_table_grants
        WHERE grantee IN ('panless_proxy', 'panless_auditor') GROUP BY 1, 2 ORDER BY 1, 2""")
    assert [tuple(row) for row in tables] == [
        ("panless_auditor", "audit_checkpoints", "SELECT"),
        ("panless_auditor", "audit_events", "SELECT"),
        ("panless_auditor", "audit_log", "SELECT"),
        ("panless_auditor", "audit_ranges", "SELECT"),
        ("panless_auditor", "panless_migrations", "SELECT"),
        ("panless_proxy", "app_keys", "SELECT"),
        ("panless_proxy", "apps", "SELECT"),
        ("panless_proxy", "audit_checkpoints", "INSERT SELECT"),
        ("panless_proxy", "audit_events", "INSERT"),
        ("panless_proxy", "audit_log", "SELECT"),
        ("panless_proxy", "audit_ranges", "INSERT SELECT"),
        ("panless_proxy", "audit_sinks", "INSERT SELECT"),
        ("panless_proxy", "authorities", "SELECT"),
        ("panless_proxy", "cvc_leases", "DELETE INSERT SELECT"),
        ("panless_proxy", "data_keys", "INSERT SELECT"),
        ("panless_proxy", "documents", "DELETE INSERT SELECT"),
        ("panless_proxy", "ended_tokens", "SELECT"),
        ("panless_proxy", "fingerprints", "INSERT SELECT"),
        ("panless_proxy", "idempotency", "DELETE INSERT SELECT"),
        ("panless_proxy", "keks", "INSERT SELECT"),
        ("panless_proxy", "key_changes", "SELECT"),
        ("panless_proxy", "lease_keys", "DELETE INSERT SELECT"),
        ("panless_proxy", "operations", "DELETE INSERT SELECT"),
        ("panless_proxy", "operator_keys", "SELECT"),
        ("panless_proxy", "operators", "SELECT"),
        ("panless_proxy", "panless_migrations", "SELECT"),
        ("panless_proxy", "processes", "DELETE INSERT SELECT UPDATE"),
        ("panless_proxy", "publishable_keys", "SELECT"),
        ("panless_proxy", "reveal_counts", "DELETE INSERT SELECT"),
        ("panless_proxy", "stops", "INSERT SELECT"),
        ("panless_proxy", "token_customers", "INSERT SELECT"),
        ("panless_proxy", "tokens", "INSERT SELECT"),
        ("panless_proxy", "used_sessions", "DELETE INSERT SELECT"),
        ("panless_proxy", "webhook_events", "DELETE INSERT SELECT"),
    ]
    columns = await owner.fetch("""
        SELECT table_name, privilege_type, string_agg(column_name, ' ' ORDER BY column_name)
        FROM information_schema.column_privileges
        WHERE grantee = 'panless_proxy' AND (privilege_type = 'UPDATE' AND table_name <> 'processes'
          OR (table_name, privilege_type) = ('audit_events', 'SELECT')) GROUP BY 1, 2 ORDER BY 1""")
    assert [tuple(row) for row in columns] == [
        ("app_keys", "UPDATE", "last_used_at"),
        ("audit_events", "SELECT", "chain hash seq"),
        ("audit_sinks", "UPDATE", "position"),
        ("cvc_leases", "UPDATE", "attempts"),
        ("data_keys", "UPDATE", "deactivated_at state uses"),
        (
            "idempotency",
            "UPDATE",
            "answer code digest expires_at held_until request_id run state status updated_at",
        ),
        (
            "operations",
            "UPDATE",
            "answer attempts code ended_at held_until next_run reached run state status updated_at",
        ),
        ("operator_keys", "UPDATE", "last_used_at"),
        ("reveal_counts", "UPDATE", "count"),
        ("tokens", "UPDATE", "uses"),
        (
            "webhook_events",
            "UPDATE",
            "attempts code deliver_until document ended_at held_until keep_until next_run run state status",
        ),
    ]


async def test_verification_codes_are_in_an_unlogged_table(owner):
    assert await owner.fetchval("SELECT relpersistence FROM pg_class WHERE relname = 'cvc_leases'") == b"u"


async def test_a_user_that_was_not_granted_the_role_is_told_so(migrated):
    embedded = migrated.embedded
    # The auditor's own login, named where the proxy's URL should be.
    url = f"postgresql://panless_auditor@/panless?host={embedded.host}&port={embedded.port}"
    wrong = Database(urls={Role.PROXY: url})
    with pytest.raises(RoleNotGranted):
        await wrong.connect(Role.PROXY)
    with pytest.raises(RoleNotGranted):
        await wrong.pool(Role.PROXY, size=2)
