"""Plans in other codecs: the oracle plans on a profile that was rewritten by hand to be as if measured in the codec."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import offramp
from offramp.core.backbone import Block
from offramp.core.bounds import lower_bound
from offramp.core.codec import Codec
from offramp.core.encoded import Encoded
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.relaxation import minimal_relaxations
from offramp.core.requirement import Requirement
from offramp.errors import InputError
from offramp.files import read_profile, read_topology
from offramp.pipeline.solve import solve_among

from . import oracle
from .test_planner import as_oracle
from .worlds import World, eighths, exit_tables, worlds

# Bytes of so many float32 entries, and what goes in front of them.
SIZES = {Codec.FP16: (2, 0), Codec.INT8: (1, 4)}


@st.composite
def encoded_worlds(draw: st.DrawFn) -> tuple[World, Codec, Profile]:
    """A world with a codec, the codec, and the world's profile as it is in it, written out by hand."""
    world, codec = draw(worlds(most_blocks=3, most_tiers=3)), draw(st.sampled_from([*SIZES]))
    entries = [draw(st.sampled_from([1, 2, 8])) for _ in world.profile.backbone.blocks]
    n, overhead = len(entries), draw(st.sampled_from([0, 8, 64]))
    blocks = tuple(Block(f"b{i}", 32 * count) for i, count in enumerate(entries))
    there, back = (
        {device: np.array([draw(eighths(0, 4)) for _ in range(n + 2)]) for device in ("one", "two")} for _ in range(2)
    )
    table = draw(exit_tables(blocks=n))
    profile = dataclasses.replace(
        world.profile,
        backbone=dataclasses.replace(world.profile.backbone, blocks=blocks),
        codecs={codec: Encoded(table, there, back)},
        overhead_bits=overhead,
    )
    each, front = SIZES[codec]
    plain = dataclasses.replace(
        profile,
        backbone=dataclasses.replace(
            profile.backbone,
            input_bits=profile.backbone.input_bits + overhead,
            result_bits=profile.backbone.result_bits + overhead,
            blocks=tuple(Block(f"b{i}", 8 * (each * count + front) + overhead) for i, count in enumerate(entries)),
        ),
        timings={
            device: dataclasses.replace(timing, serialize_s=there[device], deserialize_s=back[device])
            for device, timing in profile.timings.items()
        },
        exits=None,
        exit_table=table,
        codecs={},
        overhead_bits=0,
    )
    return World(profile, world.topology), codec, plain


@settings(max_examples=60, deadline=None)
@given(encoded_worlds())
def test_frontier_in_a_codec_is_what_trying_every_plan_finds(found: tuple[World, Codec, Profile]) -> None:
    world, codec, plain = found
    planner = Planner.of(world.profile, world.topology, codec=codec)
    assert as_oracle(planner) == oracle.frontier(plain, world.topology)
    assert all(each.plan.codec is codec for each in planner.frontier())


@settings(max_examples=30, deadline=None)
@given(encoded_worlds(), st.integers(0, 8))
def test_the_best_of_all_codecs_is_the_best_of_each(found: tuple[World, Codec, Profile], floor: int) -> None:
    world, codec, _ = found
    planners = [Planner.of(world.profile, world.topology, codec=each) for each in (Codec.FP32, codec)]
    asked = Requirement(min_accuracy=floor / 8)
    alone = [planner.best(asked).best for planner in planners]
    reached = [each.estimate.latency_s for each in alone if each is not None]
    answer = solve_among(world.profile, planners, asked)
    assert answer.met == bool(reached)
    if reached:
        assert answer.estimate.latency_s == min(reached)
    every = [each.estimate for planner in planners for each in planner.frontier()]
    for member in answer.frontier:
        assert not any(
            other.latency_s <= member.estimate.latency_s
            and other.accuracy >= member.estimate.accuracy
            and (other.latency_s, other.accuracy) != (member.estimate.latency_s, member.estimate.accuracy)
            for other in every
        )


class Stopped(Planner):
    """A planner whose searches end after the plans of one partition, as one's whose time is up."""

    def _search(self, *asked: Any) -> Any:
        return Planner._search(self, *asked[:-1], np.ones(1, np.bool_))


@pytest.mark.parametrize("frontier", [True, False])
@pytest.mark.parametrize("stopped", [0, 1, 2])
def test_a_search_that_was_ended_is_not_forgotten_and_spoils_no_other(stopped: int, frontier: bool) -> None:
    profile, topology = read_profile("resnet20-digits"), read_topology("mobile")
    planners = [*Planner.each(profile, topology, tuple(Codec))]
    asked = Requirement(min_accuracy=0.95, codecs=tuple(Codec))
    whole = solve_among(profile, planners[:stopped] + planners[stopped + 1 :], asked, frontier=frontier)
    parts = {each.name: getattr(planners[stopped], each.name) for each in dataclasses.fields(Planner)}
    planners[stopped] = Stopped(**parts)
    gap = planners[stopped].frontier_within(asked)[1] if frontier else planners[stopped].best(asked).gap
    answer = solve_among(profile, planners, asked, frontier=frontier)
    assert answer.met
    assert answer.latency_s <= whole.latency_s
    assert gap is not None
    assert answer.gap is not None
    assert answer.gap.latency_s <= gap.latency_s
    assert answer.gap.accuracy >= gap.accuracy
    assert not answer.document()["search"]["optimal"]


@settings(max_examples=30, deadline=None)
@given(encoded_worlds(), st.sampled_from([0.75, 1.0]), st.sampled_from([1, 8]))
def test_what_could_be_given_up_is_the_least_in_any_codec(
    found: tuple[World, Codec, Profile], floor: float, limit_s: float
) -> None:
    world, codec, _ = found
    planners = [Planner.of(world.profile, world.topology, codec=each) for each in (Codec.FP32, codec)]
    asked = Requirement(min_accuracy=floor, max_latency_s=limit_s)
    alone = [minimal_relaxations([planner], asked) for planner in planners]
    relaxations = solve_among(world.profile, planners, asked).relaxations
    if not all(alone):
        assert relaxations == ()
        return
    size = min(len(each[0].given_up) for each in alone)
    of_size = [each for found in alone for each in found if len(each.given_up) == size]
    assert {each.given_up for each in relaxations} == {each.given_up for each in of_size}
    for relaxation in relaxations:
        others = [each.plan.estimate for each in of_size if each.given_up == relaxation.given_up]
        if relaxation.given_up == ("max_latency",):
            assert relaxation.plan.estimate.latency_s == min(other.latency_s for other in others)
        else:
            assert relaxation.plan.estimate.accuracy == max(other.accuracy for other in others)


def test_one_sequence_of_tests_is_for_all_codecs() -> None:
    solution = offramp.solve("resnet20-digits", min_accuracy=0.9, codec="any", confidence=0.94)
    certificate = solution.certificate
    assert certificate is not None
    assert certificate.confidence == 0.94
    right = round(certificate.held_back.accuracy * certificate.certifying_samples)
    assert lower_bound(right, certificate.certifying_samples, confidence=0.94) >= 0.9
    assert solution.planner.codec is certificate.plan.codec


def test_a_codec_that_was_not_measured_is_refused() -> None:
    bare = dataclasses.replace(read_profile("resnet20-digits"), codecs={})
    with pytest.raises(InputError, match="was not measured"):
        Planner.of(bare, read_topology("mobile"), codec=Codec.INT8)


def test_a_plan_says_its_codec() -> None:
    text = "1-3@watch 4@phone T=0.40 codec=int8"
    plan = Plan.parse(text)
    assert plan.codec is Codec.INT8
    assert str(plan) == text
    with pytest.raises(InputError, match="codec"):
        Plan.parse("1-3@watch 4@phone T=0.40 codec=int4")
