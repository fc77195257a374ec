"""Coverage-guided fuzzing: `make fuzz SECONDS=60`. The targets also run over their seeds in the ordinary tests."""
