"""Searching all interleavings of a scenario: `gupsim explore`."""
