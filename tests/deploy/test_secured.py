"""Workers, a client and `offramp certs` together: real partitions over TLS, through a tier in the middle."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from offramp.bundle import Manifest
from offramp.core.plan import Plan
from offramp.deploy.certificates import issue, write_credentials
from offramp.errors import InputError
from offramp.runtime.client import Client
from offramp.runtime.tier.serve import Place, at_work
from offramp.runtime.tier.worker import Limits
from offramp.runtime.transport.tls import tls_config
from tests.deploy.bundles import bundle, written
from tests.runtime.places import free_port

TIERS = ("watch", "phone", "edge", "cloud")
KINDS = {(1, 1): TensorProto.UINT8, (2, 2): TensorProto.FLOAT}


def partition(kind: int) -> bytes:
    """A block that hands on its input, and a branch that says the index of the largest pixel and is never sure."""
    axes = [1, 2, 2]
    nodes = [
        helper.make_node("Cast", ["x"], ["output"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["output"], ["flat"]),
        helper.make_node("Softmax", ["flat"], ["probabilities"], axis=1),
        helper.make_node("ReduceSum", ["probabilities", "axis"], ["entropy"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "partition",
        [helper.make_tensor_value_info("x", kind, ["batch", *axes])],
        [
            helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", *axes]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("entropy", TensorProto.FLOAT, ["batch"]),
        ],
        [numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@dataclass(frozen=True)
class Deployment:
    """Tiers at work on this machine."""

    bundle: Manifest
    certs: Path
    ports: dict[str, int]

    def place(self, tier: str) -> str:
        return f"localhost:{self.ports[tier]}"

    def client(self, folder: Path | None) -> Client:
        topology = self.bundle.topology
        source, destination = topology.source, topology.destination
        security = None if folder is None else tls_config(folder, [source, destination])
        return Client(self.bundle, source=self.place(source), destination=self.place(destination), security=security)


@pytest.fixture(scope="module", params=["watch", "phone"])
def deployment(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """Every sample arises at the watch, and goes on from there past the phone and the edge to the cloud."""
    folder = tmp_path_factory.mktemp("secured")
    models = {blocks: partition(kind) for blocks, kind in KINDS.items()}
    plan = "1@watch 2@cloud T=0.50"
    manifest = bundle(*TIERS, destination=request.param, plan=plan, models=models)
    written(manifest, folder / "bundle", models=models)
    write_credentials(issue(manifest.topology, deployment=manifest.deployment, days=1), folder / "certs")
    deployment = Deployment(manifest, folder / "certs", {tier: free_port() for tier in TIERS})
    with ExitStack() as stack:
        for j, tier in enumerate(TIERS):
            onward = deployment.place(TIERS[j + 1]) if j + 1 < len(TIERS) else None
            place = Place(port=deployment.ports[tier], toward_cloud=onward, certificates=folder / "certs" / tier)
            stack.enter_context(at_work(folder / "bundle" / "tiers" / tier, place, limits=Limits()))
        until_s = time.monotonic() + 15
        with deployment.client(deployment.certs / "client") as client:
            while client.alive() != {*TIERS}:
                assert time.monotonic() < until_s, "the tiers never found each other"
                time.sleep(0.05)
        yield deployment


def test_samples_go_to_the_end_of_the_line_and_back(deployment: Deployment) -> None:
    samples = np.random.default_rng(7).permuted(np.tile(np.arange(4, dtype=np.uint8), (200, 1)), axis=1)
    with deployment.client(deployment.certs / "client") as client:
        answers = [*client.ask_all(samples.reshape(-1, 1, 2, 2), deadline_s=10, window=4)]
    assert [answer.error for answer in answers] == [""] * 200
    assert {(answer.exit, answer.degraded) for answer in answers} == {(1, False)}
    assert [answer.label for answer in answers] == [*samples.argmax(axis=1)]


def test_plans_are_switched(deployment: Deployment) -> None:
    other = Plan.parse("1@watch 2@cloud T=0.40")
    with deployment.client(deployment.certs / "client") as client:
        before = client.current_plan()
        client.switch(other)
        assert client.current_plan() == other
        client.switch(before)


def test_a_client_without_a_certificate_or_with_a_tier_s_from_elsewhere_is_refused(deployment: Deployment) -> None:
    for folder in (None, deployment.certs / "cloud"):
        with pytest.raises(InputError, match="there is no tier to connect to"), deployment.client(folder):
            pytest.fail("it is let in")
