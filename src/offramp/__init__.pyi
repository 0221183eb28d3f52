from .core.backbone import Backbone, Block
from .core.certify import Certificate, Guarantee, certify
from .core.codec import Codec, InputCodec
from .core.constraints import Constraints, Prices
from .core.energy import Energy, TierEnergy
from .core.estimate import Estimate, EstimatedPlan, Latency
from .core.exit_table import ExitTable
from .core.exits import ExitModelName
from .core.feasible import is_feasible
from .core.latency import ComputeSource
from .core.plan import Plan
from .core.planner import Planner
from .core.profile import ExitRates, Meaning, Profile
from .core.relaxation import Relaxation, minimal_relaxations
from .core.requirement import Objective, Requirement, SearchLimits
from .core.result import RunResult
from .core.search_result import Gap, SearchResult, choose
from .core.spread import spread_s
from .core.timing import Timing
from .core.topology import Link, Tier, Topology
from .core.validation import Validation
from .errors import Fault, InputError, MissingExtraError, OfframpError
from .files import (
    read_plan,
    read_profile,
    read_requirements,
    read_result,
    read_topology,
    schema,
    write_profile,
    write_topology,
)
from .pipeline.build import Bundle, build
from .pipeline.compare import Comparison, compare
from .pipeline.data import read_data, read_run
from .pipeline.estimate import Prediction, estimate
from .pipeline.profile import profile
from .pipeline.progress import Progress
from .pipeline.run import BundleRun, run
from .pipeline.solution import Solution
from .pipeline.solve import solve
from .pipeline.sweep import Sweep, sweep
from .pipeline.train import train
from .pipeline.validate import validate
from .reports.report import report
from .sweeps.grid import grid
from .sweeps.many import plan_many, write_parquet

__all__ = [
    "Backbone",
    "Block",
    "Bundle",
    "BundleRun",
    "Certificate",
    "Codec",
    "Comparison",
    "ComputeSource",
    "Constraints",
    "Energy",
    "Estimate",
    "EstimatedPlan",
    "ExitModelName",
    "ExitRates",
    "ExitTable",
    "Fault",
    "Gap",
    "Guarantee",
    "InputCodec",
    "InputError",
    "Latency",
    "Link",
    "Meaning",
    "MissingExtraError",
    "Objective",
    "OfframpError",
    "Plan",
    "Planner",
    "Prediction",
    "Prices",
    "Profile",
    "Progress",
    "Relaxation",
    "Requirement",
    "RunResult",
    "SearchLimits",
    "SearchResult",
    "Solution",
    "Sweep",
    "Tier",
    "TierEnergy",
    "Timing",
    "Topology",
    "Validation",
    "build",
    "certify",
    "choose",
    "compare",
    "estimate",
    "grid",
    "is_feasible",
    "minimal_relaxations",
    "plan_many",
    "profile",
    "read_data",
    "read_plan",
    "read_profile",
    "read_requirements",
    "read_result",
    "read_run",
    "read_topology",
    "report",
    "run",
    "schema",
    "solve",
    "spread_s",
    "sweep",
    "train",
    "validate",
    "write_parquet",
    "write_profile",
    "write_topology",
]
