"""Small programs of actors whose number of traces is known: for tests of exactness and for benchmarks.

Sources: search.md, section 8; the names are those of the papers and tools that use them.
"""

from gupsim.search.programs.mailboxes import (
    adders,
    chain,
    fifo,
    grid,
    mailbox,
    mailbox_independent,
    mailbox_rw,
    pingers,
    readers,
    shootdown,
    writers,
    writers_and_reader,
)
from gupsim.search.programs.memory import increments, lastzero, popl14, rmw, store_buffer_ring, threads, writes_in_order

__all__ = [
    "adders",
    "chain",
    "fifo",
    "grid",
    "increments",
    "lastzero",
    "mailbox",
    "mailbox_independent",
    "mailbox_rw",
    "pingers",
    "popl14",
    "readers",
    "rmw",
    "shootdown",
    "store_buffer_ring",
    "threads",
    "writers",
    "writers_and_reader",
    "writes_in_order",
]
