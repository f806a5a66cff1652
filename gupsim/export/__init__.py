"""A stored trace in the formats of other tools: Perfetto, Mermaid, CSV."""

from gupsim.export.mermaid import Limits, mermaid_lines, write_mermaid
from gupsim.export.perfetto import trace_events, write_perfetto
from gupsim.export.table import write_csv

__all__ = ["Limits", "mermaid_lines", "trace_events", "write_csv", "write_mermaid", "write_perfetto"]
