"""Hypothesis strategies for every valid value of the core: any size and number the types allow, within reason.

`tests/core/worlds.py` has the small, exactly adding ones that planners are compared on.
"""

import itertools
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from offramp.core.backbone import Backbone, Block
from offramp.core.checks import FloatArray
from offramp.core.codec import Codec, InputCodec
from offramp.core.encoded import Encoded, EncodedInput
from offramp.core.exit_table import ExitTable
from offramp.core.plan import Plan
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.score import Score, ScoreName
from offramp.core.timing import Timing
from offramp.core.topology import MOST_TIERS, Link, Tier, Topology

_PRINTED = st.characters(exclude_categories=("Cs", "Cc", "Co", "Cn"))
names = st.text(_PRINTED, min_size=1, max_size=12)
tier_names = names.filter(lambda name: "@" not in name and not any(map(str.isspace, name)))
seconds = st.floats(0, 1e6)
rates = st.floats(1e-3, 1e15)
figures = st.floats(0, 1e6)  # powers and energies
shares = st.floats(0, 1)
bits = st.integers(1, 2**53)


@st.composite
def backbones(draw: st.DrawFn, *, blocks: int | None = None) -> Backbone:
    n = draw(st.integers(1, 6)) if blocks is None else blocks
    return Backbone(
        name=draw(names),
        dataset=draw(names),
        input_bits=draw(bits),
        result_bits=draw(bits),
        blocks=tuple(Block(draw(names), draw(bits)) for _ in range(n)),
    )


@st.composite
def links(draw: st.DrawFn) -> Link:
    radio_w = draw(figures)
    return Link(draw(rates), draw(seconds), draw(figures), draw(figures), radio_w, draw(seconds) if radio_w else 0.0)


@st.composite
def topologies(draw: st.DrawFn, *, devices: tuple[str, ...] = ("pi4", "xeon")) -> Topology:
    line = draw(st.lists(tier_names, min_size=1, max_size=MOST_TIERS, unique=True))
    speeds = st.builds(dict, slowdown=rates) | st.builds(dict, device=st.sampled_from(devices))
    return Topology(
        name=draw(names),
        source=draw(st.sampled_from(line)),
        destination=draw(st.sampled_from(line)),
        tiers=tuple(Tier(name, **draw(speeds), power_w=draw(figures), idle_w=draw(figures)) for name in line),
        links=tuple(draw(links()) for _ in line[1:]),
        mtu_bits=draw(st.none() | rates),
    )


def _vectors(n: int, elements: st.SearchStrategy[float] = seconds) -> st.SearchStrategy[FloatArray]:
    return npst.arrays(np.float64, n, elements=elements)


@st.composite
def timings(draw: st.DrawFn, *, blocks: int) -> Timing:
    n = blocks
    by_block, by_partition = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    matrix = draw(npst.arrays(np.float64, (n, n), elements=seconds))
    matrix[np.tril_indices(n, -1)] = np.nan
    spreads = st.none() | _vectors(n)
    return Timing(
        block_s=draw(_vectors(n)) if by_block else None,
        branch_s=draw(_vectors(n)) if by_block else None,
        partition_s=matrix if by_partition else None,
        serialize_s=draw(_vectors(n + 2)),
        deserialize_s=draw(_vectors(n + 2)),
        block_spread_s=draw(spreads),
        branch_spread_s=draw(spreads),
    )


@st.composite
def exit_rates(draw: st.DrawFn, *, blocks: int) -> ExitRates:
    thresholds = sorted(draw(st.lists(shares, min_size=1, max_size=4, unique=True)))
    meaning = draw(st.sampled_from(Meaning))
    # Higher thresholds let more leave (down the rows); with first exits, so do later branches (along them).
    left = np.sort(draw(npst.arrays(np.float64, (len(thresholds), blocks), elements=shares)), axis=0)
    if meaning is Meaning.FIRST_EXIT:
        left = np.sort(left, axis=1)
        left[:, -1] = 1
    return ExitRates(
        thresholds=np.array(thresholds),
        meaning=meaning,
        exit_rate=np.diff(left, axis=1, prepend=0) if meaning is Meaning.FIRST_EXIT else left,
        accuracy=draw(_vectors(blocks, shares)),
        samples=draw(bits),
        joint_accuracy=draw(st.none() | _vectors(blocks, shares)),
    )


@st.composite
def exit_tables(draw: st.DrawFn, *, blocks: int, score: ScoreName = ScoreName.ENTROPY) -> ExitTable:
    samples = draw(st.integers(2, 9))
    return ExitTable(
        scores=draw(npst.arrays(np.float32, (blocks, samples), elements=st.floats(0, 1, width=32))),
        correct=draw(npst.arrays(np.bool_, (blocks, samples))),
        label=draw(npst.arrays(np.int64, samples)),
        score=score,
    )


@st.composite
def encoded(draw: st.DrawFn, *, blocks: int, devices: list[str], score: ScoreName) -> Encoded:
    timed = draw(st.lists(st.sampled_from(devices), unique=True))
    there, back = ({device: draw(_vectors(blocks + 2)) for device in timed} for _ in range(2))
    return Encoded(draw(exit_tables(blocks=blocks, score=score)), there, back)


@st.composite
def encoded_by_codec(draw: st.DrawFn, *, blocks: int, devices: list[str], score: ScoreName) -> dict[Codec, Encoded]:
    plain = st.sampled_from([Codec.FP16, Codec.INT8])
    codecs = draw(st.dictionaries(plain, encoded(blocks=blocks, devices=devices, score=score), max_size=2))
    if Codec.INT8 in codecs and draw(st.booleans()):
        shape = codecs[Codec.INT8].exit_table.scores.shape
        sizes = draw(npst.arrays(np.int64, shape, elements=st.integers(1, 2**40)))
        codecs[Codec.INT8_ZSTD] = replace(codecs[Codec.INT8], bits=sizes)
    return codecs


@st.composite
def sent_inputs(
    draw: st.DrawFn, *, blocks: int, devices: list[str], score: ScoreName
) -> dict[InputCodec, EncodedInput]:
    codecs = draw(
        st.lists(st.sampled_from([codec for codec in InputCodec if codec is not InputCodec.RAW]), unique=True)
    )
    inputs = {}
    for codec in codecs:
        table = None if codec.lossless else draw(exit_tables(blocks=blocks, score=score))
        samples = draw(st.integers(1, 9)) if table is None else table.samples
        timed = draw(st.lists(st.sampled_from(devices), unique=True))
        there, back = ({device: draw(seconds) for device in timed} for _ in range(2))
        sizes = draw(npst.arrays(np.int64, samples, elements=st.integers(1, 2**40)))
        inputs[codec] = EncodedInput(sizes, there, back, table)
    return inputs


@st.composite
def known_scores(draw: st.DrawFn, *, blocks: int) -> Score:
    name = draw(st.sampled_from(ScoreName))
    width = {ScoreName.TEMPERATURE: 1, ScoreName.GATE: 4}.get(name)
    numbers = st.floats(0.1, 10)
    return Score(name, None if width is None else draw(npst.arrays(np.float64, (blocks, width), elements=numbers)))


_scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    _scalars | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    backbone = draw(backbones())
    n = len(backbone.blocks)
    measured = draw(st.dictionaries(names, timings(blocks=n), min_size=1, max_size=3))
    exits = draw(st.none() | exit_rates(blocks=n))
    score = draw(known_scores(blocks=n))
    tables = exit_tables(blocks=n, score=score.name)
    table = draw(tables if exits is None else st.none() | tables)
    return Profile(
        backbone=backbone,
        timings=measured,
        reference_device=draw(st.none() | st.sampled_from(sorted(measured))),
        exits=exits,
        exit_table=table,
        codecs=draw(encoded_by_codec(blocks=n, devices=sorted(measured), score=score.name)),
        inputs=draw(st.just({}) | sent_inputs(blocks=n, devices=sorted(measured), score=score.name)),
        overhead_bits=draw(st.integers(0, 2**20)),
        provenance=draw(st.dictionaries(names, json_values, max_size=4)),
        score=score,
    )


@st.composite
def plans(draw: st.DrawFn, *, blocks: int = 55, tiers: tuple[str, ...] | None = None) -> Plan:
    line = draw(st.lists(tier_names, min_size=1, max_size=6, unique=True)) if tiers is None else list(tiers)
    placement = draw(st.permutations(line))[: draw(st.integers(1, min(len(line), blocks)))]
    partitions = len(placement)
    ends = draw(st.lists(st.integers(1, blocks), min_size=partitions, max_size=partitions, unique=True))
    thresholds = draw(st.lists(shares, min_size=partitions - 1, max_size=partitions - 1))
    alike = draw(st.booleans())
    return Plan(
        ends=tuple(sorted(ends)),
        placement=tuple(placement),
        thresholds=tuple(itertools.repeat(thresholds[0], partitions - 1))
        if alike and thresholds
        else tuple(thresholds),
        codec=draw(st.sampled_from(Codec)),
        input_codec=draw(st.sampled_from(InputCodec)),
    )
