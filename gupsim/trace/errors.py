"""What can be wrong with a trace file, each with a message for a person."""

from __future__ import annotations

import msgspec


class TraceError(ValueError):
    """A trace file that cannot be read or written, or that holds something else.

    path: the file. offset: byte at which it goes wrong, -1 if that says nothing. what: the rest of the message.
    """

    def __init__(self, path: str, offset: int, what: str) -> None:
        at = f", byte {offset}" if offset >= 0 else ""
        super().__init__(f"{path}{at}: {what}")
        self.path = path
        self.offset = offset


class TraceCut(msgspec.Struct, frozen=True):
    """A trace without its end mark: the run was interrupted, or goes on still. All up to the cut was read.

    offset: bytes that were read as whole records. torn: bytes of a record that was cut through. records: whole
    records after the header. time: virtual time (ns) of the last one.
    """

    path: str
    offset: int
    torn: int
    records: int
    time: int

    def say(self) -> str:
        """One line of warning."""
        inside = f", {self.torn} bytes into a record" if self.torn else ""
        return (
            f"{self.path} has no end mark: it is cut off at byte {self.offset + self.torn}{inside}. The run was"
            f" interrupted or is not over; what follows holds for its first {self.records} records, up to"
            f" {self.time} ns"
        )
