"""What an operator starts: migrations, applications, listing and verifying the audit log, purging."""
