"""Taking revealed values out of answers, and refusing guesses at them in requests. Pure."""
