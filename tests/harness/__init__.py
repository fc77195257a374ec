"""Test doubles and drivers: a real Panless process, an upstream that records bytes, the test cards."""
