import io
import json
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from offramp.bundle.codecs import decode, encode
from offramp.bundle.input_codecs import encode_input
from offramp.cli import training
from offramp.core.codec import Codec, InputCodec
from offramp.core.exits import DEFAULT_THRESHOLDS, ExitModelName, exit_model, first_exit_rates
from offramp.core.profile import Meaning, Profile
from offramp.core.score import ENTROPY
from offramp.errors import InputError
from offramp.files import read_profile, write_profile
from offramp.nn import data
from offramp.nn.catalog import backbone_spec
from offramp.nn.datasets import read_data
from offramp.nn.profiling import exit_tables, machine, partition_fit, profiler, timing
from offramp.nn.profiling.sent_inputs import sent_inputs
from offramp.nn.training.fit import Recipe
from offramp.nn.training.run import JOINT, Run, begin_run, read_run
from offramp.nn.training.setup import Setup


@pytest.fixture(scope="module")
def profile(run) -> Profile:
    return profiled_run(run, device="here", repeats=8, partition_repeats=4)


def profiled_run(run: Run, **options) -> Profile:
    return profiler.profile_network(
        run.network,
        run.dataset,
        backbone=run.setup.backbone,
        seed=run.setup.seed,
        separate_accuracy=run.separate_accuracy,
        training=run.training_record(),
        **options,
    )


def test_a_profile_has_the_real_sizes(profile):
    assert [block.name for block in profile.backbone.blocks] == ["stem", "stage1-1", "stage2-1", "stage3-1"]
    # float32 tensors of 16x32x32, 16x32x32, 32x16x16 and 64x8x8; one byte per channel and pixel; ten logits.
    assert profile.backbone.object_bits == (24_576, 524_288, 524_288, 262_144, 131_072, 320)


def test_a_profile_has_what_is_deployed_and_torch_beside_it(profile):
    assert [*profile.timings] == ["here", "here-torch", "here-torch-1thread"]
    assert profile.reference_device == "here"
    for each in profile.timings.values():
        assert each.block_s.min() > 0
        assert each.branch_s.min() > 0
        assert each.block_spread_s.shape == each.branch_spread_s.shape == (4,)
        measured = np.isfinite(each.partition_s)
        assert np.array_equal(measured, np.triu(np.ones((4, 4), bool)))
        assert np.nanmin(each.partition_s) > 0


def test_exit_rates_are_those_of_the_exit_table(profile):
    exits, table = profile.exits, profile.exit_table
    assert exits.meaning is Meaning.FIRST_EXIT
    assert exits.thresholds == pytest.approx(np.arange(20) * 0.05)
    assert exits.samples == table.samples == 450
    assert exits.joint_accuracy == pytest.approx(table.correct.mean(axis=1))
    counted = exit_model(profile, ExitModelName.PUBLISHED, thresholds=DEFAULT_THRESHOLDS)
    assert counted.exited[:, 1:] == pytest.approx(exits.exit_rate.cumsum(axis=1))


def test_accuracy_is_of_the_separate_networks(profile, run):
    assert tuple(profile.exits.accuracy) == run.separate_accuracy
    assert profile.provenance["accuracy"] == "of networks trained for each branch alone"


def test_without_separate_networks_accuracy_is_the_joint_one_and_says_so(run, tmp_path):
    (tmp_path / "run.json").write_bytes((run.folder / "run.json").read_bytes())
    (tmp_path / "joint.safetensors").write_bytes(run.checkpoint(JOINT).read_bytes())
    found = profiled_run(read_run(tmp_path), device="here", repeats=2, partition_repeats=1)
    assert np.array_equal(found.exits.accuracy, found.exits.joint_accuracy)
    assert found.provenance["accuracy"] == "of the joint network"


def test_provenance_says_where_from(profile):
    for key in ("machine", "cores", "threads", "versions", "date", "statistic", "repeats", "training", "samples"):
        assert profile.provenance[key]
    assert profile.provenance["statistic"] == "p99"
    assert sum(profile.provenance["samples"].values()) == 1797


def test_the_exit_table_is_the_softmax_of_the_validation_split(profile, run):
    split = run.dataset.validation
    for s in (0, 17):
        logits = run.network(torch.tensor(split.images[s : s + 1]))
        for i, branch in enumerate(logits):
            p = torch.softmax(branch[0].detach().double(), dim=0)
            entropy = float(-(p * p.log()).sum() / np.log(10))
            assert profile.exit_table.scores[i, s] == pytest.approx(entropy, abs=1e-4)
            assert profile.exit_table.correct[i, s] == (int(p.argmax()) == split.labels[s])


def test_times_of_another_machine_merge(profile, run):
    there = profiler.measure(
        run.network, run.dataset, seed=3, device="there", repeats=2, partition_repeats=1, codecs=profile.codecs
    )
    merged = there.into(profile)
    assert [*merged.timings] == [*profile.timings, "there", "there-torch", "there-torch-1thread"]
    for codec in profile.codecs:
        assert [*merged.encoded(codec).timings] == [*merged.timings]
    assert profiler.describe(run.network, run.dataset, backbone="resnet8") == profile.backbone


def test_codecs_have_tables_of_what_their_activations_say(profile, run):
    """Looked up one sample at a time: the activations of a chain that are really encoded and decoded."""
    assert set(profile.codecs) == {Codec.FP16, Codec.INT8, Codec.INT8_ZSTD}
    assert profile.codecs[Codec.INT8_ZSTD].exit_table is profile.codecs[Codec.INT8].exit_table
    network, split = run.network, run.dataset.validation
    for codec, encoded in profile.codecs.items():
        assert encoded.exit_table.scores.shape == profile.exit_table.scores.shape
        # Block 1 gets the raw sample in any codec.
        assert encoded.exit_table.scores[0] == pytest.approx(profile.exit_table.scores[0], abs=1e-4)
        assert not np.array_equal(encoded.exit_table.scores[1:], profile.exit_table.scores[1:])
        x = plain = torch.tensor(split.images[7:8])
        for i, block in enumerate(network.blocks):
            with torch.inference_mode():
                plain = block(plain)
            if encoded.bits is not None:
                # The sizes of activations are of those that are encoded for the first time.
                assert encoded.bits[i, 7] == pytest.approx(8 * len(encode(plain.numpy(), codec)), rel=0.01)
            with torch.inference_mode():
                x = block(x)
                said = torch.softmax(network.branches[i](x)[0].double(), dim=0)
            assert encoded.exit_table.scores[i, 7] == pytest.approx(
                float(-(said * said.log()).sum() / np.log(10)), abs=1e-4
            )
            x = torch.from_numpy(decode(encode(x.numpy(), codec), x.shape, codec))


@pytest.fixture(scope="module")
def deeper(tmp_path_factory) -> Run:
    """Seven blocks, so that there are more partitions than must be measured."""
    folder = tmp_path_factory.mktemp("deeper")
    recipe = Recipe(epochs=1, batch_size=256)
    spec, dataset = backbone_spec("resnet14"), read_data("digits", seed=4)
    setup = Setup.of(spec, dataset, seed=4, bf16=False, joint=recipe, separate=None)
    training = begin_run(folder, setup, dataset, spec)
    for _ in training.train():
        pass
    return training.finished()


def profiled(*words: object) -> tuple[dict, str]:
    """What `offramp profile` wrote, and what it printed."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(training.profile)
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception:
        raise result.exception
    return json.loads(Path(str(words[words.index("--out") + 1])).read_text()), result.stdout


def test_a_share_of_the_partitions_is_timed_and_the_profile_says_so(deeper, tmp_path):
    path = tmp_path / "profile.json"
    found, shown = profiled(deeper.folder, "--out", path, "--device", "box", "--repeats", 8, "--partitions", "50%")
    assert "17 of 28 partitions timed, the others fitted: off by" in shown
    for name in ("box", "box-torch", "box-torch-1thread"):
        assert len(found["timings"][name]["partition_s"]) == 28
        said = found["provenance"]["partitions"][name]
        assert (said["measured"], said["of"]) == (17, 28)
        assert 0 < said["held_out"]["error"] < 10
        assert said["held_out"]["rmse_s"] > 0

    # Another machine's times come with what is known of them; what was known of the others stays.
    there = profiler.measure(
        deeper.network,
        deeper.dataset,
        seed=4,
        device="there",
        repeats=2,
        partition_repeats=1,
        codecs=[Codec.FP16, Codec.INT8],
    )
    partitions = there.into(read_profile(path)).provenance["partitions"]
    assert partitions["box"] == found["provenance"]["partitions"]["box"]
    assert partitions["there"] == {"measured": 28, "of": 28, "held_out": None}


@pytest.mark.parametrize("share", ["some", "0", "0%", "101%", "1.5", "nan", "-10%", "", "%"])
def test_a_share_that_is_none_is_refused(share, tmp_path):
    with pytest.raises(InputError, match=r"partitions: .* use auto, all, or a share such as 10% or 0.1"):
        profiled(tmp_path, "--out", tmp_path / "profile.json", "--partitions", share)
    assert not [*tmp_path.iterdir()]


def test_a_codec_that_cannot_hold_an_activation_is_left_out(network, tiny):
    with torch.no_grad():
        network.blocks[1] = torch.nn.Sequential(network.blocks[1], Times(1e6))
    with pytest.raises(ValueError, match="fp16"):
        exit_tables.encoded_exit_table(network, tiny.validation, Codec.FP16)
    exit_tables.encoded_exit_table(network, tiny.validation, Codec.INT8)


class Times(torch.nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


entropies = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.sampled_from([0.0, 0.05, 0.3, 0.4, 0.41, 0.999, 1.0]), min_size=n, max_size=n),
        min_size=2,
        max_size=12,
    )
)


@given(entropies)
def test_first_exits_agree_with_a_loop_over_the_samples(by_sample):
    entropy = np.array(by_sample, np.float32).T
    rates = first_exit_rates(entropy, DEFAULT_THRESHOLDS)
    for threshold, row in zip(DEFAULT_THRESHOLDS, rates, strict=True):
        counts = [0] * len(entropy)
        for sample in by_sample:
            first = next((i for i, e in enumerate(sample[:-1]) if e <= threshold), len(sample) - 1)
            counts[first] += 1
        assert row.tolist() == [count / len(by_sample) for count in counts]
        assert sum(row) == pytest.approx(1)


def test_calls_take_turns_and_the_warm_up_is_not_counted():
    order: list[str] = []
    told: list[float] = []

    def quick() -> None:
        order.append("quick")

    def slow() -> None:
        order.append("slow")
        time.sleep(0.002)

    seconds = timing.timed([quick, slow], repeats=5, report=told.append)
    assert seconds.shape == (2, 5)
    assert order == ["quick", "slow"] * (len(order) // 2)
    assert len(order) > 10
    assert seconds[1].min() >= 0.002 > np.median(seconds[0])
    assert told[-1] == 1


def test_partitions_are_loaded_a_few_at_a_time_and_come_back_in_order():
    alive: weakref.WeakSet[Sleeper] = weakref.WeakSet()
    most, told = [0], []

    def partition(first: int, last: int) -> Sleeper:
        sleeper = Sleeper(1e-3 if first == last else 0.0)
        alive.add(sleeper)
        most[0] = max(most[0], len(alive))
        return sleeper

    wanted = partition_fit.sample(22, 250, seed=0)
    compute = timing.Compute([], [], partition)
    seconds = timing.timed_partitions(compute, wanted, repeats=2, report=told.append)
    assert most[0] == 200
    assert seconds.shape == (250, 2)
    alone = np.array([first == last for first, last in wanted])
    assert seconds[alone].min() >= 1e-3 > np.median(seconds[~alone])
    assert told == sorted(told)
    assert told[-1] == 1


class Sleeper:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> None:
        if self.seconds:
            time.sleep(self.seconds)


def test_the_statistic_is_the_99th_percentile():
    assert timing.statistic(np.array([np.arange(101.0), np.full(101, 3.0)])) == pytest.approx([99, 3])


def test_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    with timing.torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("AMD EPYC", "amd-epyc"),
        ("AMD EPYC 7763 64-Core Processor", "amd-epyc-7763"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "intel-xeon"),
        ("Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", "intel-i7-8650u"),
        ("Cortex-A72", "cortex-a72"),
        ("", "cpu"),
    ],
)
def test_a_device_is_named_after_its_processor(model, name):
    assert machine.short_name(model) == name


def test_the_processor_has_a_name():
    assert machine.cpu_model()


def test_inputs_have_sizes_times_and_tables_of_what_is_received(profile, run, tmp_path):
    """Looked up one sample at a time, decoded by Pillow alone."""
    assert set(profile.inputs) == {InputCodec.PNG, InputCodec.WEBP, InputCodec.JPEG90, InputCodec.JPEG75}
    images = run.dataset.validation.images
    for codec, sent in profile.inputs.items():
        assert [*sent.serialize_s] == [*sent.deserialize_s] == [*profile.timings]
        assert min(*sent.serialize_s.values(), *sent.deserialize_s.values()) > 0
        assert sent.bits.shape == (450,)
        encoded = encode_input(images[7], codec)
        assert sent.bits[7] == 8 * len(encoded)
        received = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")).transpose(2, 0, 1)
        assert np.array_equal(received, images[7]) == codec.lossless == (sent.exit_table is None)
        if sent.exit_table is not None:
            with torch.inference_mode():
                said = torch.stack(run.network(torch.tensor(received[None].copy())))
            shares = torch.softmax(said[:, 0].double(), dim=1)
            entropies = -(shares * shares.log()).sum(dim=1) / np.log(10)
            assert sent.exit_table.scores[:, 7] == pytest.approx(entropies.numpy(), abs=1e-4)
    assert profile.inputs[InputCodec.JPEG75].mean_bits < profile.inputs[InputCodec.JPEG90].mean_bits

    write_profile(profile, tmp_path / "x.json")
    again = read_profile(tmp_path / "x.json")
    assert {file.name for file in tmp_path.iterdir()} >= {"x.sizes.npz", "x.jpeg90.npz", "x.jpeg75.npz"}
    for codec, sent in profile.inputs.items():
        assert np.array_equal(again.inputs[codec].bits, sent.bits)
        assert again.inputs[codec].serialize_s == sent.serialize_s
        assert again.inputs[codec].deserialize_s == sent.deserialize_s
        if sent.exit_table is not None:
            assert np.array_equal(again.inputs[codec].exit_table.scores, sent.exit_table.scores)


def test_numbers_that_are_no_pictures_are_compressed(network):
    dataset = data.split("numbers", np.zeros((80, 3, 8, 8), np.float32), np.arange(80) % 4, seed=0)
    sent = sent_inputs(network, dataset.validation, ENTROPY)
    assert [*sent] == [InputCodec.ZSTD]
    assert sent[InputCodec.ZSTD].exit_table is None
    assert sent[InputCodec.ZSTD].bits.max() < 8 * 4 * 3 * 8 * 8
