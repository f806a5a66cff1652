"""Reading JSON files: size limits, and every error as one line with the file and the place."""

from __future__ import annotations

import re
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from gupsim.conformance.errors import ConformanceError

MAX_BYTES: Final = 16 << 20
"""Larger files are refused before a byte of them is read."""

S = TypeVar("S", bound=msgspec.Struct)


def packaged(pattern: str) -> list[tuple[Traversable, str]]:
    """The files of the package's own data whose names match, with the names to show, in order of name."""
    data = package_files("gupsim.conformance") / "data"
    found = [entry for entry in data.iterdir() if re.fullmatch(pattern, entry.name)]
    return [(entry, entry.name) for entry in sorted(found, key=lambda entry: entry.name)]


def given(name: str) -> tuple[Traversable, str]:
    """A file that the user named: a path, or one of the package's own."""
    path = Path(name)
    if not path.exists():
        for own, own_name in packaged(r".*\.json"):
            if own_name == name:
                return own, name
    return path, name


def read_json(path: Traversable, name: str) -> bytes:
    """The bytes of a file that is valid JSON."""
    data = _read(path, name)
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise ConformanceError(f"{name}{_line(data, str(error))}: is not valid JSON: {_plain(str(error))}") from None
    except RecursionError:
        raise ConformanceError(f"{name}: is nested too deeply") from None
    except UnicodeDecodeError:
        raise ConformanceError(f"{name}: is not UTF-8 text") from None
    return data


def decode(data: bytes | msgspec.Raw, kind: type[S], place: str) -> S:
    """A struct from JSON; ConformanceError with `place` and the field."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise ConformanceError(f"{place}: {_plain(str(error))}") from None
    except UnicodeDecodeError:
        raise ConformanceError(f"{place}: is not UTF-8 text") from None


def convert(value: Any, kind: type[S], place: str) -> S:
    """A struct from decoded JSON; ConformanceError with `place` and the field."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConformanceError(f"{place}: {_plain(str(error))}") from None


def _read(path: Traversable, name: str) -> bytes:
    try:
        if isinstance(path, Path):
            if not path.exists():
                raise ConformanceError(f"{name}: there is no such file")
            if not path.is_file():
                raise ConformanceError(f"{name}: is not a plain file")
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise ConformanceError(f"{name}: has {size} bytes; at most {MAX_BYTES} are read")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ConformanceError):
            raise
        raise ConformanceError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_BYTES:
        raise ConformanceError(f"{name}: at most {MAX_BYTES} bytes are read")
    return data


def _plain(message: str) -> str:
    """msgspec's message with the path first: "cases[3].steps: Expected `array`, got `int`"."""
    match = re.fullmatch(r"(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?", message, re.DOTALL)
    assert match is not None
    text, field = match[1], match[2]
    text = text.removesuffix(" (byte 0)")
    return f"{field}: {text}" if field else text


def _line(data: bytes, message: str) -> str:
    """ ":LINE" of the byte that a decode error names."""
    match = re.search(r"\(byte ([0-9]+)\)", message)
    return f":{data.count(bytes([10]), 0, int(match[1])) + 1}" if match else ""
