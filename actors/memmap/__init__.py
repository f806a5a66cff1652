"""struct page, the page allocator and vmstat."""

from actors.memmap.memmap import Memmap

__all__ = ["Memmap"]
