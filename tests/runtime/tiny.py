"""A network of four blocks, as ONNX for the tiers and in numpy for the tests: what should happen to every sample.

Block i is tanh(w_i x + b_i), entry by entry; its branch is softmax(flattened x V_i). The models are written by hand,
so that nothing of Offramp's own export is between the two.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from offramp.bundle import Manifest, PartitionFile, checksum, write_bundle
from offramp.core.codec import Codec, InputCodec
from offramp.core.estimate import Estimate
from offramp.core.plan import Plan
from offramp.core.topology import Link, Tier, Topology
from offramp.files import read_profile
from offramp.runtime.client import Answer

BLOCKS, CLASSES, SAMPLES = 4, 4, 40
CLOSE = 2e-3
"""How much probabilities may differ between ONNX Runtime and numpy: a step of int8 rounded the other way."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Expected:
    """What should happen to a sample.

    exit: the partition at whose branch it exits, from 0.
    probabilities: [L, K] of every branch, also of those after the exit.
    """

    exit: int
    probabilities: Floats


@dataclass(frozen=True)
class Network:
    """The four blocks, with activations of shape (1, 4, width)."""

    width: int
    weights: Floats
    biases: Floats
    branches: Floats

    @classmethod
    def of(cls, width: int, *, seed: int = 3) -> "Network":
        random = np.random.default_rng(seed)
        shape = (BLOCKS, 1, 4, width)
        # The deeper, the surer.
        sure = np.array([0.5, 1.0, 1.5, 2.0])[:, None, None] * 4 / np.sqrt(4 * width)
        return cls(
            width,
            random.normal(1.2, 0.2, shape),
            random.normal(0, 0.2, shape),
            random.normal(0, 1, (BLOCKS, 4 * width, CLASSES)) * sure,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a sample, and of every activation."""
        return 1, 4, self.width

    def model(self, first: int, last: int) -> bytes:
        """The ONNX file of blocks first..last and the branch after the last."""
        kind = TensorProto.UINT8 if first == 1 else TensorProto.FLOAT
        nodes, constants, x = [], {}, "x"
        if first == 1:
            constants |= {"scale": np.float32(4 / 255), "offset": np.float32(2)}
            nodes += [helper.make_node("Cast", ["x"], ["x32"], to=TensorProto.FLOAT)]
            nodes += [helper.make_node("Mul", ["x32", "scale"], ["scaled"])]
            nodes += [helper.make_node("Sub", ["scaled", "offset"], ["centered"])]
            x = "centered"
        for i in range(first, last + 1):
            out = "output" if i == last else f"x{i}"
            constants |= {f"w{i}": self.weights[i - 1], f"b{i}": self.biases[i - 1]}
            nodes += [helper.make_node("Mul", [x, f"w{i}"], [f"scaled{i}"])]
            nodes += [helper.make_node("Add", [f"scaled{i}", f"b{i}"], [f"moved{i}"])]
            nodes += [helper.make_node("Tanh", [f"moved{i}"], [out])]
            x = out
        constants |= {"v": self.branches[last - 1], "unit": np.float32(-1 / np.log(CLASSES))}
        nodes += [
            helper.make_node("Flatten", ["output"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "v"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
            helper.make_node("LogSoftmax", ["scores"], ["logs"], axis=-1),
            helper.make_node("Mul", ["probabilities", "logs"], ["terms"]),
            helper.make_node("ReduceSum", ["terms", "axis"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "unit"], ["entropy"]),
        ]
        initializers = [
            numpy_helper.from_array(np.asarray(constant, np.float32), name) for name, constant in constants.items()
        ]
        initializers.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
        graph = helper.make_graph(
            nodes,
            "partition",
            [helper.make_tensor_value_info("x", kind, ["B", *self.shape])],
            [
                helper.make_tensor_value_info("output", TensorProto.FLOAT, ["B", *self.shape]),
                helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["B", CLASSES]),
                helper.make_tensor_value_info("entropy", TensorProto.FLOAT, ["B"]),
            ],
            initializers,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(made)
        data: bytes = made.SerializeToString()
        return data

    def expected(self, plan: Plan, sample: NDArray[np.uint8]) -> tuple[Expected, float]:
        """What should happen to a sample, and how near an entropy comes to a threshold of the plan."""
        x = received(sample, plan.input_codec).astype(float) * 4 / 255 - 2
        said, left, nearest = [], len(plan.ends) - 1, 1.0
        for k, (first, last) in enumerate(plan.blocks):
            for i in range(first, last + 1):
                x = np.tanh(self.weights[i - 1] * x + self.biases[i - 1])
            powers = np.exp(x.reshape(-1) @ self.branches[last - 1])
            shares = powers / powers.sum()
            said.append(shares)
            if k < len(plan.thresholds):
                above = -(shares * np.log(shares)).sum() / np.log(CLASSES) - plan.thresholds[k]
                nearest = min(nearest, abs(above))
                if above <= 0:
                    left = min(left, k)
                if plan.placement[k + 1] != plan.placement[k]:
                    x = traveled(x, plan.codec)
        return Expected(left, np.array(said)), nearest


def received(sample: NDArray[np.uint8], codec: InputCodec) -> NDArray[np.uint8]:
    """What a sample [1, H, W] is after it was sent from the source."""
    if codec.lossless:
        return sample
    data = io.BytesIO()
    Image.fromarray(sample[0]).save(data, "JPEG", quality={InputCodec.JPEG90: 90, InputCodec.JPEG75: 75}[codec])
    return np.asarray(Image.open(data))[None]


def traveled(x: Floats, codec: Codec) -> Floats:
    """What an activation is after it was encoded and decoded."""
    if codec is Codec.FP16:
        return x.astype(np.float16).astype(float)
    if codec.plain is Codec.INT8:
        step = np.abs(x).max() / 127
        return np.rint(x / step) * step
    return x


@dataclass(frozen=True)
class Case:
    """A bundle in a folder, the samples to send, and what is known of them."""

    folder: Path
    manifest: Manifest
    network: Network
    samples: list[NDArray[np.uint8]]

    @cached_property
    def _known(self) -> dict[tuple[str, int], Expected]:
        return {}

    def expected(self, plan: str, number: int) -> Expected:
        """What should happen to the sample of that number, where samples are sent over and over."""
        key = plan, number % len(self.samples)
        if key not in self._known:
            self._known[key] = self.network.expected(Plan.parse(plan), self.samples[key[1]])[0]
        return self._known[key]

    def many(self, count: int) -> list[NDArray[np.uint8]]:
        """So many samples, over and over."""
        return [self.samples[number % len(self.samples)] for number in range(count)]

    def wrong(self, answer: Answer, plans: Sequence[str] = ()) -> str:
        """What is wrong with an answer; empty where it is that of the plan, or degraded and marked so.

        plans: that may have been active; the first of the bundle where none is given.
        """
        if answer.exit is None:
            honest = answer.error and answer.label is None and not answer.degraded
            return "" if honest else f"{answer.number}: no answer, and no error"
        if answer.plan not in (plans or [str(self.manifest.plans[0])]):
            return f"{answer.number}: by the plan {answer.plan}"
        plan, expected = Plan.parse(answer.plan), self.expected(answer.plan, answer.number)
        file = next(partition for partition in self.manifest.partitions if partition.blocks == plan.blocks[answer.exit])
        known = file.staying_accuracy if answer.degraded else file.accuracy
        if answer.accuracy != known:
            return f"{answer.number}: accuracy {answer.accuracy}, not {known}"
        if not np.allclose(answer.probabilities, expected.probabilities[answer.exit], rtol=0, atol=CLOSE):
            return f"{answer.number}: {answer.probabilities}, not {expected.probabilities[answer.exit]}"
        if answer.degraded and answer.exit >= expected.exit:
            return f"{answer.number}: degraded at {answer.exit}, though it exits at {expected.exit}"
        if not answer.degraded and answer.exit != expected.exit:
            return f"{answer.number}: exited at {answer.exit}, not at {expected.exit}"
        return ""


def case(folder: Path, topology: Topology, plans: Sequence[str], *, width: int = 4) -> Case:
    """A bundle of these plans, the first of them active, and samples whose exits do not depend on rounding."""
    network, parsed = Network.of(width), tuple(map(Plan.parse, plans))
    built = sorted({blocks for plan in parsed for blocks in plan.blocks})
    models = {blocks: network.model(*blocks) for blocks in built}
    sample_bits, activation_bits = 8 * 4 * width, 32 * 4 * width
    exits = len(parsed[0].ends)
    estimate = replace(_ESTIMATE, exit_rates=(0.0,) * (exits - 1) + (1.0,), stay_rates=(1.0,) * (exits - 1) + (0.0,))
    estimate = replace(estimate, exit_latency_s=(0.0,) * exits)
    manifest = Manifest(
        deployment="5f2a90c1d3e4",
        backbone="tiny",
        dataset="made-up",
        class_names=("north", "east", "south", "west"),
        input_shape=network.shape,
        topology=topology,
        plans=parsed,
        object_bits=(sample_bits, *[activation_bits] * BLOCKS, 32 * CLASSES),
        estimate=estimate,
        estimate_before=estimate,
        partitions=tuple(
            PartitionFile(
                first=first,
                last=last,
                file=f"blocks-{first}-{last}.onnx",
                sha256=checksum(models[first, last]),
                size_bytes=len(models[first, last]),
                input_shape=network.shape,
                output_shape=network.shape,
                # No two are alike, so that a mix-up shows.
                accuracy=0.5 + last / 10 + first / 100,
                staying_accuracy=0.2 + last / 10 + first / 100,
            )
            for first, last in built
        ),
        tolerance=1e-4,
        deviation=0.0,
    )
    write_bundle(manifest, models, read_profile("resnet20-digits"), folder)
    random, samples = np.random.default_rng(1), []
    while len(samples) < SAMPLES:
        sample = random.integers(0, 256, network.shape, np.uint8)
        if min(network.expected(plan, sample)[1] for plan in parsed) > 5 * CLOSE:
            samples.append(sample)
    return Case(folder, manifest, network, samples)


def line(*tiers: str, link: Link, source: str = "", destination: str = "") -> Topology:
    """Tiers as fast as this machine, in a row."""
    return Topology(
        name="line",
        source=source or tiers[0],
        destination=destination or tiers[0],
        tiers=tuple(Tier(name, 1.0) for name in tiers),
        links=(link,) * (len(tiers) - 1),
    )


_ESTIMATE = Estimate(
    accuracy=0.9,
    latency_s=0.0,
    exit_rates=(),
    stay_rates=(),
    compute_s=0.0,
    propagation_s=0.0,
    transmission_s=0.0,
    serialization_s=0.0,
    exit_latency_s=(),
)
