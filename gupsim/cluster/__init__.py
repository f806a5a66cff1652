"""Runs one history on several nodes: windows, transport, journals, placement."""
