"""Pure cryptography: authenticated encryption, the sealed-record format, fingerprints, digests."""
