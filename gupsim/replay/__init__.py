"""Replay files: saving an execution that went wrong, repeating it exactly, making it small, and saying why."""

from gupsim.replay.case import Case, case_of
from gupsim.replay.errors import BadRecording, Changed, Diverged, NotReproduced, ReplayError
from gupsim.replay.explain import Why, explain
from gupsim.replay.file import MAX_BYTES, SUFFIX, expected_of, load, recorded, save
from gupsim.replay.history import History, Sought, sought
from gupsim.replay.minimise import Minimised, Minimiser
from gupsim.replay.recording import Expected, Recording, Schedule, mids_of, schedule_of
from gupsim.replay.replaying import Replayed, minimised, record, replay

__all__ = [
    "MAX_BYTES",
    "SUFFIX",
    "BadRecording",
    "Case",
    "Changed",
    "Diverged",
    "Expected",
    "History",
    "Minimised",
    "Minimiser",
    "NotReproduced",
    "Recording",
    "ReplayError",
    "Replayed",
    "Schedule",
    "Sought",
    "Why",
    "case_of",
    "expected_of",
    "explain",
    "load",
    "mids_of",
    "minimised",
    "record",
    "recorded",
    "replay",
    "save",
    "schedule_of",
    "sought",
]
