"""Files that are there whole or not at all: written aside, brought to disk, renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """What the block writes becomes the file if the block ends well; else there is what was there before.

    A device or a pipe is written to as it is. Raises OSError.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """The same for what is at hand."""
    with written_whole(path) as file:
        file.write(content)


def try_folder(folder: Path) -> None:
    """OSError if files of a few pages cannot be written to the folder, or to where it would have to be made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    with TemporaryFile(dir=existing) as file:
        file.write(bytes(1 << 16))
        file.flush()
