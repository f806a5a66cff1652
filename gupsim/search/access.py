"""What an event touched, as sets of bits: two events are compared in a fraction of a microsecond."""

from __future__ import annotations

from typing import Final


class Access:
    """The footprint of one event. Each (actor, field, key) is one bit, numbered over the whole search.

    reads, adds: objects only read, only added to. writes: all others. blind: the writes that never looked.
    touched: all of them. where: a bit for each actor (and one for observed tracepoints) concerned; two events that
    share none are independent.
    """

    __slots__ = ("adds", "blind", "reads", "touched", "where", "writes")

    def __init__(self, where: int, reads: int, adds: int, writes: int, blind: int) -> None:
        self.where = where
        self.reads = reads
        self.adds = adds
        self.writes = writes
        self.blind = blind
        self.touched = reads | adds | writes

    def clashes(self, other: Access) -> bool:
        """True if the order of the two events matters: a write meets anything, or an addition meets a read."""
        if not self.where & other.where:
            return False
        conflict = self.writes & other.touched or self.touched & other.writes
        return bool(conflict or self.reads & other.adds or self.adds & other.reads)

    def same(self, other: Access) -> bool:
        """True if both touched the same objects in the same way."""
        return (self.where, self.reads, self.adds, self.writes) == (other.where, other.reads, other.adds, other.writes)

    def saw(self, other: Access) -> bool:
        """True if this event, coming after `other`, may have looked at something that `other` changed."""
        changed = (other.writes & self.touched) | (other.adds & (self.reads | self.writes))
        return changed & ~self.blind != 0


NOTHING: Final = Access(0, 0, 0, 0, 0)


def union(accesses: list[Access]) -> Access:
    """What several events touched together. An object that any of them wrote counts as written."""
    where = reads = adds = writes = 0
    for access in accesses:
        where |= access.where
        reads |= access.reads
        adds |= access.adds
        writes |= access.writes
    return Access(where, reads, adds, writes, 0)
