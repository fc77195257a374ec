"""Key providers, which hold the KEK, and the keyring, which holds unwrapped DEKs for a while."""
