"""What should happen to given samples: every partition of a plan run on all of them here, with no network between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from offramp.bundle.codecs import decode, encode
from offramp.bundle.input_codecs import decode_input, encode_input
from offramp.bundle.session import PartitionSession
from offramp.core.checks import BoolArray, Float32Array, IntArray
from offramp.core.codec import InputCodec
from offramp.core.estimate import Estimate, check_plan, terms
from offramp.core.exit_table import at_or_below
from offramp.core.exits import PlanRates, replayed_rates
from offramp.core.latency import Work
from offramp.core.plan import Plan
from offramp.core.profile import Profile
from offramp.core.topology import Topology
from offramp.errors import fail

PartitionSessions = Mapping[tuple[int, int], PartitionSession]
"""Partitions, loaded, by first and last block."""


@dataclass(frozen=True, slots=True, eq=False)
class PlanOutputs:
    """What the exits of one plan say of samples that all run to its end. L partitions, S samples.

    Unlike an exit table's, its rows are the plan's own exits, with activations as they travel in its codec.

    scores: [L, S] in [0, 1], the lower the surer: as the profile has them.
    correct: [L, S] whether the answer is right.
    sent_bits: by object, 0 the input, i the output of block i, [S] what it travels as, where samples differ in that.
    """

    plan: Plan
    scores: Float32Array
    correct: BoolArray
    sent_bits: Mapping[int, IntArray] = field(default_factory=dict)

    def rates(self) -> PlanRates:
        """Exit rates and accuracy under the plan's thresholds."""
        return replayed_rates(self.scores, self.correct, self.plan.thresholds)

    def estimate(self, *, profile: Profile, topology: Topology) -> Estimate:
        """The estimate of the plan where samples exit as they do here, and not as the profile's exit table has it."""
        return estimate_at(self.plan, self.rates(), profile=profile, topology=topology, object_bits=self._object_bits())

    def _object_bits(self) -> dict[int, float]:
        """By object, what it travels as in the mean of the samples that come so far."""
        staying = np.ones(self.scores.shape[1], np.bool_)
        means = {}
        for sent, end in enumerate((0, *self.plan.ends[:-1])):
            if sent:
                staying = staying & ~at_or_below(self.scores[sent - 1], self.plan.thresholds[sent - 1])
            if end in self.sent_bits and staying.any():
                means[end] = float(self.sent_bits[end][staying].mean())
        return means

    def staying_accuracy(self) -> list[float | None]:
        """[L] accuracy of each exit over the samples that continue past it; None where none do."""
        accuracies: list[float | None] = []
        remaining = np.ones(self.scores.shape[1], np.bool_)
        for k, threshold in enumerate(self.plan.thresholds):
            remaining &= ~at_or_below(self.scores[k], threshold)
            accuracies.append(float(self.correct[k, remaining].mean()) if remaining.any() else None)
        return [*accuracies, None]


def run_locally(
    sessions: PartitionSessions, plan: Plan, images: NDArray[np.generic], labels: NDArray[np.int64]
) -> PlanOutputs:
    """What the plan's exits say of all samples, none of which exits early.

    images: [S, ...] samples.
    labels: [S] the true classes.
    Raises `InputError` where an activation can't travel in the plan's codec.
    """
    scores = np.empty((len(plan.ends), len(images)), np.float32)
    correct = np.empty(scores.shape, np.bool_)
    crosses = [after not in ("", tier) for tier, after in zip(plan.placement, (*plan.placement[1:], ""), strict=True)]
    sent_bits: dict[int, list[int]] = {}
    # One by one, as tiers get them; and nobody has room for the activations of all of them.
    for s, image in enumerate(images):
        x: NDArray[np.generic] = image[None]
        if plan.input_codec is not InputCodec.RAW:
            data = encode_input(image, plan.input_codec)
            sent_bits.setdefault(0, []).append(8 * len(data))
            x = decode_input(data, image.shape, image.dtype, plan.input_codec)[None]
        for k, blocks in enumerate(plan.blocks):
            output, probabilities, scores[k, s : s + 1] = sessions[blocks].run(x)
            correct[k, s] = probabilities.argmax() == labels[s]
            x = output
            if crosses[k]:
                data = _encoded(output, plan)
                x = decode(data, output.shape, plan.codec)
                if plan.codec is not plan.codec.plain:
                    sent_bits.setdefault(blocks[1], []).append(8 * len(data))
    return PlanOutputs(plan, scores, correct, {sent: np.array(bits) for sent, bits in sent_bits.items()})


def estimate_at(
    plan: Plan,
    rates: PlanRates,
    *,
    profile: Profile,
    topology: Topology,
    object_bits: Mapping[int, float] | None = None,
) -> Estimate:
    """The estimate of a plan at given exit rates. Raises `InputError` where it doesn't fit profile and topology.

    object_bits: by object, 0 the input, i the output of block i, what it travels as; None for the profile's means.
    """
    check_plan(plan, blocks=len(profile.backbone.blocks), topology=topology)
    encoded = profile.encoded(plan.codec, plan.input_codec)
    work = Work.of(encoded)
    bits = work.bits.copy()
    for sent, mean in (object_bits or {}).items():
        bits[sent] = mean + encoded.overhead_bits
    costs = replace(work, bits=bits).on(topology)
    return terms(plan.ends, [topology.index(name) for name in plan.placement], rates, costs)


def _encoded(output: Float32Array, plan: Plan) -> bytes:
    try:
        return encode(output, plan.codec)
    except ValueError as error:
        fail("plan", str(error), "use another codec")
