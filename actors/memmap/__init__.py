"""struct page, the page allocator and vmstat."""

from gupsim.actors.memmap.memmap import Memmap

__all__ = ["Memmap"]
