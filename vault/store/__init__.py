"""PostgreSQL: connections, tables, and the one writer. The only part of the vault that speaks SQL."""
