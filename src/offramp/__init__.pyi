from .core.backbone import Backbone, Block
from .core.certify import Certificate, audit, certify
from .core.conflicts import WayOut, ways_out
from .core.constraints import Constraints, Prices
from .core.estimate import Estimate, Latency, PricedPlan
from .core.exits import ExitModelName
from .core.latency import ComputeSource
from .core.plan import Plan
from .core.planner import Answer, Budget, Gap, Options, Planner, Requirement, choose
from .core.profile import ExitRates, ExitTable, Meaning, Profile, Timing
from .core.spread import spread_s
from .core.topology import Link, Tier, Topology
from .errors import Fault, InputError, MissingExtraError, OfframpError
from .files import (
    read_plan,
    read_profile,
    read_requirements,
    read_topology,
    schema,
    write_profile,
    write_topology,
)
from .fleet import plan_many, write_parquet
from .grid import grid

__all__ = [
    "Answer",
    "Backbone",
    "Block",
    "Budget",
    "Certificate",
    "ComputeSource",
    "Constraints",
    "Estimate",
    "ExitModelName",
    "ExitRates",
    "ExitTable",
    "Fault",
    "Gap",
    "InputError",
    "Latency",
    "Link",
    "Meaning",
    "MissingExtraError",
    "OfframpError",
    "Options",
    "Plan",
    "Planner",
    "PricedPlan",
    "Prices",
    "Profile",
    "Requirement",
    "Tier",
    "Timing",
    "Topology",
    "WayOut",
    "audit",
    "certify",
    "choose",
    "grid",
    "plan_many",
    "read_plan",
    "read_profile",
    "read_requirements",
    "read_topology",
    "schema",
    "spread_s",
    "ways_out",
    "write_parquet",
    "write_profile",
    "write_topology",
]
