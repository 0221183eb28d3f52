"""Offramp's files: topologies in YAML, profiles in JSON with an exit table beside them, plans in one line or JSON.

Reading gives the core's frozen values or one `InputError` that lists every fault of the document. pydantic knows
the structure and the units of the files, the core knows what the values must obey; neither repeats the other.
"""

from offramp.files.plan import plan_document, read_plan, write_plan
from offramp.files.profile import read_profile, write_profile
from offramp.files.requirements import RequirementWords, read_requirements
from offramp.files.results import read_result, write_run_result, write_validation
from offramp.files.schema import schema
from offramp.files.sources import shipped
from offramp.files.topology import read_topology, write_topology

__all__ = [
    "RequirementWords",
    "plan_document",
    "read_plan",
    "read_profile",
    "read_requirements",
    "read_result",
    "read_topology",
    "schema",
    "shipped",
    "write_plan",
    "write_profile",
    "write_run_result",
    "write_topology",
    "write_validation",
]
