"""Rewriting of bodies: find the bytes of the selected values and replace only those. Pure, no IO."""
