"""In what kernels differ: rules, eras as presets of them, platforms and policies as changes to them."""

from gupsim.actors.rules.eras import ERAS
from gupsim.actors.rules.platforms import PLATFORMS, X86, Platform
from gupsim.actors.rules.policies import POLICIES
from gupsim.actors.rules.rules import KernelRules
from gupsim.actors.rules.value import RuleValue

__all__ = ["ERAS", "PLATFORMS", "POLICIES", "X86", "KernelRules", "Platform", "RuleValue"]
