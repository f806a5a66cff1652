"""Whose bytes are in a frame: for each byte range the process that wrote it, and when."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Label(msgspec.Struct, frozen=True, gc=False):
    """Bytes that a process wrote, or a device for it, at event `index`."""

    owner: str
    index: int


Piece: TypeAlias = tuple[int, int, Label]
"""(first byte, byte after the last one, label)."""


class Labels:
    """The labels of one page. Bytes without one are nobody's secret: zeroes, a file's, the kernel's."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: list[Piece] | None = None) -> None:
        self.pieces: list[Piece] = pieces or []

    def write(self, start: int, length: int, label: Label | None) -> None:
        """Bytes are replaced; by public ones if `label` is None."""
        end = start + length
        kept: list[Piece] = []
        for first, last, old in self.pieces:
            if first < start:
                kept.append((first, min(last, start), old))
            if last > end:
                kept.append((max(first, end), last, old))
        if label is not None:
            kept.append((start, end, label))
        self.pieces = [piece for piece in kept if piece[0] < piece[1]]

    def read(self, start: int, length: int) -> list[Piece]:
        """What a copy of these bytes carries with it, counted from `start`."""
        end = start + length
        return [
            (max(first, start) - start, min(last, end) - start, label)
            for first, last, label in self.pieces
            if first < end and last > start
        ]

    def copy_in(self, start: int, length: int, pieces: list[Piece]) -> None:
        """A copy arrives: `pieces` as `read` gave them."""
        self.write(start, length, None)
        for first, last, label in pieces:
            if first < length:
                self.pieces.append((start + first, start + min(last, length), label))
