"""Documents hold documents; `core()` makes the core's values of them."""

import json

import pytest

from offramp.core.backbone import Backbone
from offramp.core.plan import Plan
from offramp.core.topology import Link, Tier
from offramp.errors import InputError
from offramp.files.checking import check, checked
from offramp.files.measured import BackboneDocument, ProfileDocument
from offramp.files.plan import PlanDocument, PlanEntry
from offramp.files.results import ValidatedPlanEntry, ValidationDocument
from offramp.files.schema import schema
from offramp.files.topology import LinkDocument, TierDocument, TopologyDocument
from tests.files.test_faults import PLAN, TOPOLOGY
from tests.files.test_round_trips import SMALL_PROFILE


def test_a_document_holds_documents_until_it_is_asked_for_values() -> None:
    topology = checked(TopologyDocument, TOPOLOGY, [], strict=False)
    assert [type(tier) for tier in topology.tiers] == [TierDocument, TierDocument]
    assert [type(link) for link in topology.links] == [LinkDocument]
    assert topology.core().tiers == (Tier("phone", slowdown=10), Tier("cloud", device="xeon"))
    assert topology.core().links == (Link(1e7, 0.04),)

    profile = checked(ProfileDocument, json.loads(SMALL_PROFILE), [], strict=True)
    assert type(profile.backbone) is BackboneDocument
    assert type(profile.backbone.core()) is Backbone
    assert profile.core(None, {}, {}).timings["pi4"].blocks == 2

    plan = checked(PlanDocument, PLAN, [], strict=True).plan
    assert type(plan) is PlanEntry
    assert plan.core() == Plan((3, 4), ("a", "b"), (0.4,))

    [entry] = checked(ValidationDocument, schema("validation")["examples"][0], [], strict=True).plans
    assert type(entry) is ValidatedPlanEntry
    assert entry.plan == "1-3@smartwatch 4-10@cloud T=0.40"
    assert entry.core().plan == Plan.parse(entry.plan)


def test_a_document_is_valid_only_where_its_value_can_be_built() -> None:
    document, [fault] = check(TierDocument, {"name": "a b", "slowdown": 1}, strict=True)
    assert document is None
    assert fault.problem == "'a b' is not a tier name"


def test_what_the_text_showed_is_told_with_the_rest() -> None:
    _, before = check(LinkDocument, {}, strict=True)
    with pytest.raises(InputError) as caught:
        checked(TierDocument, {"name": "a"}, before, strict=True)
    assert [fault.place for fault in caught.value.faults] == ["bandwidth", "latency", "slowdown"]
