"""What published systems would choose on the same profile and topology, judged by the full model.

`case` is what every system is given, `systems` how each of them chooses, `comparison` what the choices are worth.
"""

from offramp.core.baselines.comparison import ComparedSystem, compare
from offramp.core.baselines.systems import SYSTEMS, System

__all__ = ["SYSTEMS", "ComparedSystem", "System", "compare"]
