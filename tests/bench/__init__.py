"""Benchmarks: `make bench`. Everything runs on loopback; figures of one run are compared with each other only."""
