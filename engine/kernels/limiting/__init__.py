"""Limiting: what the processes of one context may take, kept by Linux itself where it can be, and watched where it cannot."""

from engine.kernels.limiting.breach import Breach, advice, hint_of
from engine.kernels.limiting.cgroups import own_groups
from engine.kernels.limiting.cpus import thread_variables
from engine.kernels.limiting.limiter import Limiter
from engine.kernels.limiting.rules import LimitRules
from engine.kernels.limiting.ward import Ward, Wards

__all__ = ["Breach", "LimitRules", "Limiter", "Ward", "Wards", "advice", "hint_of", "own_groups", "thread_variables"]
