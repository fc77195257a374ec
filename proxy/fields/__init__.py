"""Hosted fields: a checkout page that never touches the card."""
