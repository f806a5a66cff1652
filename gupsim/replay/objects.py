"""What two events touched, in the words of a kernel developer: "page 1's flag dirty", "the page lock of page 1"."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any, Final

from gupsim.checkers.orders import BEGUN, DIRECT, ENDED, FRAME, HELD, LIFE, PARTED, STALE
from gupsim.protocol.memmap import Page
from gupsim.search.access import Access
from gupsim.search.order import members

_LOCK: Final = re.compile(r"(page lock) (\d+)|(.*lock.*)")
_OF_INODE: Final = re.compile(r"(i_pages|inode|blocks of inode) (\d+)(?:\.(\w+))?")
_BUFFER: Final = re.compile(r"buffer (\d+) of page (\d+)")
_COMPARED: Final = {
    LIFE: "the life of page",
    FRAME: "the content of page",
    BEGUN: "what a sync or fsync has to write, from its beginning",
    ENDED: "what is on disk when a sync or fsync returns",
    HELD: "whether a device still has the page",
    STALE: "what the page tables allow of the address",
    PARTED: "whether the processes have parted",
    DIRECT: "what a direct write replaces",
}
_DULL: Final = ("*", "serving", "queue", "count", "next")


def clash(first: Access, second: Access) -> int:
    """The objects for which the order of two events matters: a set of bits."""
    return (
        (first.writes & second.touched)
        | (first.touched & second.writes)
        | (first.reads & second.adds)
        | (first.adds & second.reads)
    )


def in_words(objects: int, table: list[tuple[int, Hashable]], address: Callable[[int], str]) -> list[str]:
    """Each of a set of objects, the telling ones first, none twice. table: `Order.objects`; address: of a rank."""
    said: dict[str, bool] = {}
    for bit in members(objects):
        rank, key = table[bit]
        text = _say(key, address(rank) if rank >= 0 else "")
        said[text] = said.get(text, True) and _is_dull(key)
    return sorted(said, key=lambda text: said[text])


def _say(key: Hashable, address: str) -> str:
    if not address or not isinstance(key, tuple) or len(key) != 2 or not isinstance(key[0], str):
        return _observed(key)
    field, item = key
    if match := _LOCK.fullmatch(field):
        return f"the page lock of page {match[2]}" if match[1] else f"the {field}"
    if match := _BUFFER.fullmatch(field):
        return f"the {item} bit of page {match[2]}'s buffer {match[1]}"
    if match := _OF_INODE.fullmatch(field):
        return _of_inode(match, item)
    return _table(field, item, address)


def _of_inode(match: re.Match[str], item: Any) -> str:
    what, inode, tag = match.groups()
    if what == "i_pages":
        return f"page {item} of inode {inode} in the page cache" + (f" (tag {tag})" if tag and tag != "pages" else "")
    return f"block {item} of inode {inode}" if what != "inode" else f"the {item} of inode {inode}"


def _table(field: str, item: Any, address: str) -> str:
    if field.startswith("page."):
        return _of_page(field.removeprefix("page."), item)
    if field == "frame" and isinstance(item, tuple):
        return f"the bytes of page {item[0]} (part {item[1]})"
    if field == "buffers":
        return "the buffers of pages" if item == "*" else f"page {item}'s buffers"
    if field == "b_dirty":
        return "the list of dirty inodes"
    if field == "pte":
        place = f" {item[1]} of table {item[0]}" if isinstance(item, tuple) else ""
        return f"page-table entry{place}"
    if field == "vmstat":
        return f"the counter {item}"
    if field in {"context", "token"}:
        return f"what a context of {address} waits for"
    return f"{field} of {address}" if item == "*" else f"{field} {_item(item)} of {address}"


def _of_page(field: str, item: Any) -> str:
    pfn, rest = (item[0], item[1]) if isinstance(item, tuple) and item else (item, None)
    name = {"refs": "reference count", "maps": "mapcount", "pins": "pin count"}.get(field, field)
    if field == "flags" and rest is not None:
        return f"page {pfn}'s flag {_item(Page(int(rest)))}"
    if rest is not None:
        return f"page {pfn}'s {name} held by {_item(rest)}"
    return f"page {pfn}'s {name}"


def _observed(key: Hashable) -> str:
    """What a checker compares across actors: nobody in the kernel sees it."""
    if isinstance(key, tuple) and key and key[0] in _COMPARED:
        return f"{_COMPARED[key[0]]} {_item(key[-1]) if len(key) > 2 else ''}".rstrip()
    return f"what a checker compares: {_item(key)}"


def _item(item: Any) -> str:
    if isinstance(item, Enum):
        return str(item.name or item.value).lower().replace("|", "+")
    if isinstance(item, tuple):
        return ",".join(_item(part) for part in item)
    return str(item)


def _is_dull(key: Hashable) -> bool:
    """A whole table, a counter of statistics: true, and no help."""
    return isinstance(key, tuple) and len(key) == 2 and (key[1] in _DULL or key[0] in {"vmstat", "token", "context"})
