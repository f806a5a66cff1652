"""In what kernels differ: rules, eras as presets of them, platforms and policies as changes to them."""

from actors.rules.eras import ERAS
from actors.rules.platforms import PLATFORMS, X86, Platform
from actors.rules.policies import POLICIES
from actors.rules.rules import KernelRules
from actors.rules.value import RuleValue

__all__ = ["ERAS", "PLATFORMS", "POLICIES", "X86", "KernelRules", "Platform", "RuleValue"]
