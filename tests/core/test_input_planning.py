"""How inputs travel: the oracle tries every plan in every codec, on profiles that were written out by hand."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.codec import Codec, InputCodec
from offramp.core.encoded import Encoded, EncodedInput
from offramp.core.input_choice import together
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.requirement import Requirement
from offramp.errors import InputError
from offramp.files import read_profile, read_requirements, read_topology
from offramp.pipeline.solve import frontier_among, solve_among

from . import oracle
from .worlds import World, eighths, exit_tables, worlds

CODECS = (InputCodec.RAW, InputCodec.PNG, InputCodec.WEBP, InputCodec.JPEG90)
DEVICES = ("one", "two")


@st.composite
def sent_worlds(draw: st.DrawFn) -> tuple[World, dict[InputCodec, Profile]]:
    """A world whose inputs may travel in several codecs, and by codec a profile as it is in it."""
    world = draw(worlds(most_blocks=3, most_tiers=3))
    n = len(world.profile.backbone.blocks)
    profile = dataclasses.replace(world.profile, exits=None, exit_table=draw(exit_tables(blocks=n)))
    inputs, plain = {}, {InputCodec.RAW: profile}
    for codec in CODECS[1:]:
        mean = draw(st.sampled_from([2, 4, 8, 16]))
        table = None if codec.lossless else draw(exit_tables(blocks=n))
        there, back = ({device: draw(eighths(0, 4)) for device in DEVICES} for _ in range(2))
        inputs[codec] = EncodedInput(np.array([mean - 1, mean + 1] * 4), there, back, table)
        plain[codec] = dataclasses.replace(
            profile,
            backbone=dataclasses.replace(profile.backbone, input_bits=mean),
            timings={
                device: dataclasses.replace(
                    timing,
                    serialize_s=np.array([there[device], *timing.serialize_s[1:]]),
                    deserialize_s=np.array([back[device], *timing.deserialize_s[1:]]),
                )
                for device, timing in profile.timings.items()
            },
            exit_table=table or profile.exit_table,
        )
    return World(dataclasses.replace(profile, inputs=inputs), world.topology), plain


def every(world: World, plain: dict[InputCodec, Profile], codecs: tuple[InputCodec, ...]) -> dict[str, tuple]:
    """Latency and accuracy of every plan, by its text."""
    names = [tier.name for tier in world.topology.tiers]
    thresholds = [round(0.05 * k, 2) for k in range(20)]
    found = {}
    for ends, tiers, threshold in oracle.every_plan(len(world.profile.backbone.blocks), len(names), thresholds):
        starts = names[tiers[0]] == world.topology.source
        for codec in (InputCodec.RAW,) if starts else codecs:
            plan = Plan(ends, tuple(names[j] for j in tiers), (threshold,) * (len(ends) - 1), input_codec=codec)
            found[str(plan), threshold] = oracle.judged(plain[codec], world.topology, ends, tiers, threshold)
    return found


@settings(max_examples=60, deadline=None)
@given(sent_worlds(), st.lists(st.sampled_from(CODECS), min_size=1, unique=True), st.booleans())
def test_the_frontier_is_that_of_every_plan_in_every_codec(
    found: tuple[World, dict[InputCodec, Profile]], codecs: list[InputCodec], bits_matter: bool
) -> None:
    world, plain = found
    planners = Planner.each(
        world.profile, world.topology, [Codec.FP32], inputs=together(codecs, bits_matter=bits_matter)
    )
    judged = every(world, plain, tuple(codecs))
    points = set(judged.values())
    best = {
        (latency, accuracy)
        for latency, accuracy in points
        if not any(s <= latency and a >= accuracy and (s, a) != (latency, accuracy) for s, a in points)
    }
    members, _ = frontier_among(planners, Requirement())
    assert {(member.estimate.latency_s, member.estimate.accuracy) for member in members} == best
    for member in members:
        plan = member.plan
        achieved = {values for (text, _), values in judged.items() if text == str(plan)}
        assert (member.estimate.latency_s, member.estimate.accuracy) in achieved
        assert (plan.placement[0] == world.topology.source) <= (plan.input_codec is InputCodec.RAW)
    if not bits_matter:
        assert sum(planner.plan_count() for planner in planners) == len(judged)


@settings(max_examples=60, deadline=None)
@given(sent_worlds(), st.data())
def test_any_plan_is_estimated_in_its_own_codec(
    found: tuple[World, dict[InputCodec, Profile]], data: st.DataObject
) -> None:
    world, plain = found
    judged = every(world, plain, CODECS)
    text, threshold = data.draw(st.sampled_from(sorted(judged)))
    plan = Plan.parse(text)
    planners = Planner.each(world.profile, world.topology, [Codec.FP32], inputs=together(CODECS, bits_matter=False))
    serving = [planner for planner in planners if planner.serves(plan)]
    assert len(serving) == 1
    estimate = serving[0].estimate(plan).estimate
    assert (estimate.latency_s, estimate.accuracy) == judged[text, threshold]
    for planner in planners:
        if planner not in serving:
            with pytest.raises(InputError, match="inputs as"):
                planner.estimate(plan)


def with_inputs(*, serialize_s: float = 1e-3) -> Profile:
    """The shipped profile as if its inputs of 3 kB had been measured as WebP of 2 kB."""
    profile = read_profile("resnet20-digits")
    times = dict.fromkeys(profile.timings, serialize_s)
    sent = EncodedInput(np.full(450, 16_000), times, times)
    return dataclasses.replace(profile, inputs={InputCodec.WEBP: sent})


def test_where_bits_are_limited_a_slower_codec_that_sends_fewer_is_found() -> None:
    """On a slow watch, encoding takes longer than it saves; under a limit on what is sent it is the only way."""
    profile, topology = with_inputs(), read_topology("mobile")
    words = {"input_codec": "any", "min_accuracy": 0.982, "forbid": ["smartwatch"]}
    for limit, codec in ((None, InputCodec.RAW), ("2.5 kB", InputCodec.WEBP)):
        asked = read_requirements(**words, max_upload=limit)
        groups = together(asked.input_codecs, bits_matter=asked.counts_bits)
        planners = Planner.each(profile, topology, asked.codecs, inputs=groups)
        solution = solve_among(profile, planners, asked)
        assert solution.met
        assert solution.plan.input_codec is codec


def test_two_losses_at_once_were_not_measured_and_are_not_promised() -> None:
    profile = with_inputs()
    times = dict.fromkeys(profile.timings, 0.0)
    sent = EncodedInput(np.full(450, 8000), times, times, profile.exit_table)
    both = dataclasses.replace(profile, inputs={InputCodec.JPEG90: sent})
    with pytest.raises(InputError, match="jpeg90 was not measured together with int8"):
        both.encoded(Codec.INT8, InputCodec.JPEG90)
    assert both.encoded(Codec.FP32, InputCodec.JPEG90).backbone.input_bits == 8000


def test_lossy_and_lossless_codecs_have_tables_or_none() -> None:
    profile = with_inputs()
    lossless = profile.inputs[InputCodec.WEBP]
    for inputs in (
        {InputCodec.JPEG90: lossless},
        {InputCodec.PNG: dataclasses.replace(lossless, exit_table=profile.exit_table)},
        {InputCodec.RAW: lossless},
    ):
        with pytest.raises(InputError, match="inputs"):
            dataclasses.replace(profile, inputs=inputs)
    with pytest.raises(InputError, match="bits"):
        dataclasses.replace(lossless, bits=np.array([0, 8]))


def test_a_plan_says_what_its_input_travels_as() -> None:
    text = "1-3@phone 4@cloud T=0.40 codec=int8 input=webp"
    plan = Plan.parse(text)
    assert (plan.codec, plan.input_codec, str(plan)) == (Codec.INT8, InputCodec.WEBP, text)
    with pytest.raises(InputError, match="gif"):
        Plan.parse("1@phone input=gif")


def test_a_plan_that_begins_on_the_source_sends_no_input() -> None:
    planner = Planner.of(with_inputs(), read_topology("mobile"), inputs=(InputCodec.WEBP,))
    with pytest.raises(InputError, match="begins on smartwatch"):
        planner.estimate(Plan.parse("1-10@smartwatch input=webp"))
    assert planner.estimate(Plan.parse("1-10@smartwatch")).estimate.transmission_s == 0


def test_encoded_tables_hold_activations_too() -> None:
    """In a lossless codec of inputs, activations in int8 keep to the table of int8."""
    profile = with_inputs()
    encoded = profile.encoded(Codec.INT8, InputCodec.WEBP)
    assert isinstance(profile.codecs[Codec.INT8], Encoded)
    assert encoded.exit_table is profile.codecs[Codec.INT8].exit_table
    assert encoded.backbone.input_bits == 16_000
    assert encoded.backbone.blocks == profile.encoded(Codec.INT8).backbone.blocks
