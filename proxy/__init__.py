"""The proxy: the way of requests and responses through Panless. It knows no keys."""
