"""The only outbound sockets of the proxy."""
