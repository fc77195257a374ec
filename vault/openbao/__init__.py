"""OpenBao or HashiCorp Vault, as a server to call: for key provider `transit`, and for secrets of the configuration."""
