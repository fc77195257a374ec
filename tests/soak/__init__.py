"""The soak: payments and webhooks for a long time, while everything is killed at random (`make soak MINUTES=30`)."""
