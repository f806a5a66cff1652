"""In what kernels differ: rules, eras as presets of them, policies as changes to them."""

from actors.rules.eras import ERAS
from actors.rules.policies import POLICIES
from actors.rules.rules import KernelRules, RuleValue

__all__ = ["ERAS", "POLICIES", "KernelRules", "RuleValue"]
