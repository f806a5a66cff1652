"""What executions come to: results of steps, bytes at the end, warnings; and what a proof about them rests on."""

from gupsim.outcomes.evidence import Evidence
from gupsim.outcomes.observables import Observables, observables
from gupsim.outcomes.shown import Shown, shown, shown_by
from gupsim.outcomes.witness import Witness, WitnessReader

__all__ = ["Evidence", "Observables", "Shown", "Witness", "WitnessReader", "observables", "shown", "shown_by"]
