"""A stand-in gateway and a demo shop, for the demo. Nothing here is used in production."""
