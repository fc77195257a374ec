"""Where the audit log goes: files, HTTP collectors, syslog, S3. Anchors outside the database, and alerts."""
