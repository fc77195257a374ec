"""The HTTP/1.1 server: reads requests strictly, one after the other, and writes answers as they are given."""
