from .core.backbone import Backbone, Block
from .core.certify import Certificate, audit, certify
from .core.conflicts import Relaxation, minimal_relaxations
from .core.constraints import Constraints, Prices
from .core.estimate import Estimate, EstimatedPlan, Latency
from .core.exits import ExitModelName
from .core.latency import ComputeSource
from .core.plan import Plan
from .core.planner import Answer, Gap, Options, Planner, Requirement, SearchLimits, choose
from .core.profile import ExitRates, ExitTable, Meaning, Profile
from .core.spread import spread_s
from .core.timing import Timing
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
    "Certificate",
    "ComputeSource",
    "Constraints",
    "Estimate",
    "EstimatedPlan",
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
    "Prices",
    "Profile",
    "Relaxation",
    "Requirement",
    "SearchLimits",
    "Tier",
    "Timing",
    "Topology",
    "audit",
    "certify",
    "choose",
    "grid",
    "minimal_relaxations",
    "plan_many",
    "read_plan",
    "read_profile",
    "read_requirements",
    "read_topology",
    "schema",
    "spread_s",
    "write_parquet",
    "write_profile",
    "write_topology",
]
