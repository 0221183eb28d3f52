from .core.backbone import Backbone, Block
from .core.estimate import Estimate, PricedPlan
from .core.exits import ExitModelName
from .core.latency import ComputeSource
from .core.plan import Plan
from .core.planner import Answer, Planner, Requirement, choose
from .core.profile import ExitRates, ExitTable, Meaning, Profile, Timing
from .core.topology import Link, Tier, Topology
from .errors import Fault, InputError, MissingExtraError, OfframpError
from .files import read_plan, read_profile, read_topology, schema, write_profile, write_topology

__all__ = [
    "Answer",
    "Backbone",
    "Block",
    "ComputeSource",
    "Estimate",
    "ExitModelName",
    "ExitRates",
    "ExitTable",
    "Fault",
    "InputError",
    "Link",
    "Meaning",
    "MissingExtraError",
    "OfframpError",
    "Plan",
    "Planner",
    "PricedPlan",
    "Profile",
    "Requirement",
    "Tier",
    "Timing",
    "Topology",
    "choose",
    "read_plan",
    "read_profile",
    "read_topology",
    "schema",
    "write_profile",
    "write_topology",
]
