"""Webhooks of gateways: who sent them is verified over the bytes that came, one module per scheme. Pure."""
