"""What looks like a card number where none may be. Pure."""
