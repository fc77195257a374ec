"""The command `panless`: one file per group of commands."""
