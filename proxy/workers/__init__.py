"""Several processes that serve as one: `panless serve --workers N`."""
