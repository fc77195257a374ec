"""What an operator does to keys while Panless runs: rotate, seal again, declare compromised, destroy, look.

Each step is committed with its audit event. Every command can be killed at any point and given again: it goes on from
what the tables say.
"""
