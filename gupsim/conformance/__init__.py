"""The model against recordings of real kernels, observation by observation."""

from gupsim.conformance.cases import Case, Cases, load_cases
from gupsim.conformance.compare import Comparison, Difference, NotCompared, compare
from gupsim.conformance.errors import ConformanceError
from gupsim.conformance.files import given, packaged
from gupsim.conformance.recording import Recording, era_of, load_recording

__all__ = [
    "Case",
    "Cases",
    "Comparison",
    "ConformanceError",
    "Difference",
    "NotCompared",
    "Recording",
    "compare",
    "era_of",
    "given",
    "load_cases",
    "load_recording",
    "packaged",
]
