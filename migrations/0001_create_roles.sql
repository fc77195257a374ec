-- The two roles that work with the vault. The owner is whoever runs the migrations.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'panless_proxy') THEN
    CREATE ROLE panless_proxy NOLOGIN;
    GRANT panless_proxy TO CURRENT_USER;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'panless_auditor') THEN
    CREATE ROLE panless_auditor NOLOGIN;
    GRANT panless_auditor TO CURRENT_USER;
  END IF;
END $$;

GRANT SELECT ON panless_migrations TO panless_proxy, panless_auditor;
