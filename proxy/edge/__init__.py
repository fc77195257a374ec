"""The edge of HTTP: listeners, framing checks, identity, problems, logs, metrics."""
