"""Exit codes: 0 done, and these."""

FAILED = 1
WRONG_USE = 2
