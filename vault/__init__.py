"""The vault: cards, tokens, keys, audit. It knows no HTTP."""
