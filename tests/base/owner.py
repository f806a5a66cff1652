"""An owner of state for tests: nothing but a recorder."""

from __future__ import annotations

from gupsim.actors.base import Recorder


class RecordingOwner:
    """What the state containers need of an actor."""

    def __init__(self) -> None:
        self.recorder = Recorder(enabled=True)
