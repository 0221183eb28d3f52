"""What Offramp relies on of a backbone, as tests that a class of yours inherits."""

import pickle
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from offramp.nn.data import Dataset, split
from offramp.nn.export import cut, export
from offramp.nn.network import MultiExitNetwork, Partition, Shape, Spec, build
from offramp.nn.parity import parity
from offramp.nn.training.fit import Recipe, Step, fit

_SAMPLES_PER_CLASS = 8


class BackboneContract(ABC):
    """What a backbone must do. Inherit it in a test module and say which one is meant, and pytest does the rest.

    ::

        class TestMine(BackboneContract):
            @classmethod
            def spec(cls) -> Spec:
                return backbone_spec("my_models:small")

    image_shape, classes: (C, H, W) of the noise that it is tried with, and how many classes.
    tolerance: by how much its answers may change with the batch, and in ONNX Runtime.
    """

    image_shape: ClassVar[Shape] = (3, 32, 32)
    classes: ClassVar[int] = 4
    tolerance: ClassVar[float] = 1e-4

    @classmethod
    @abstractmethod
    def spec(cls) -> Spec:
        """The backbone."""

    @pytest.fixture(scope="class")
    @classmethod
    def dataset(cls) -> Dataset:
        """Noise of the shape and classes above."""
        count = _SAMPLES_PER_CLASS * cls.classes
        images = np.random.default_rng(0).integers(0, 256, (count, *cls.image_shape)).astype(np.uint8)
        return split("noise", images, np.arange(count) % cls.classes, seed=0)

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls, dataset: Dataset) -> MultiExitNetwork:
        """With a branch after every block, after a pass in training mode: normalization knows something."""
        network = build(cls.spec(), dataset, seed=0)
        with torch.no_grad():
            network.train()(torch.tensor(dataset.train.images))
        return network.eval()

    @pytest.fixture(scope="class")
    @classmethod
    def images(cls, dataset: Dataset) -> Tensor:
        """[S, C, H, W] uint8, a few."""
        return torch.tensor(dataset.validation.images[:3])

    def test_blocks_stand_in_a_line(self, network: MultiExitNetwork, images: Tensor) -> None:
        """Each block takes the one tensor of the block before: float32, the batch first."""
        assert len(network.blocks) >= 2
        assert len(set(network.names)) == len(network.names)
        assert all(network.names)
        x: Tensor = images
        with torch.inference_mode():
            for name, block in zip(network.names, network.blocks, strict=True):
                x = block(x)
                assert isinstance(x, Tensor), f"{name} hands on {type(x).__name__}"
                assert (x.dtype, x.shape[0]) == (torch.float32, len(images)), name
                assert x.ndim >= 2, name

    def test_every_branch_answers_with_a_logit_for_each_class(self, network: MultiExitNetwork, images: Tensor) -> None:
        """And with numbers."""
        assert network.ends == tuple(range(1, len(network.blocks) + 1))
        with torch.inference_mode():
            for logits in network(images):
                assert logits.shape == (len(images), self.classes)
                assert logits.isfinite().all()

    def test_evaluation_is_deterministic(self, network: MultiExitNetwork, images: Tensor) -> None:
        """The same images twice, the same logits to the last bit."""
        with torch.inference_mode():
            for once, again in zip(network(images), network(images), strict=True):
                assert torch.equal(once, again)

    def test_an_answer_does_not_depend_on_the_batch(self, network: MultiExitNetwork, images: Tensor) -> None:
        """A deployment sends one sample at a time, training many."""
        with torch.inference_mode():
            together = network(images)
            alone = [network(image) for image in torch.split(images, 1)]
        for branch, logits in enumerate(together):
            one_by_one = torch.cat([answer[branch] for answer in alone])
            torch.testing.assert_close(one_by_one, logits, rtol=self.tolerance, atol=self.tolerance)

    def test_weights_follow_from_the_seed(self, network: MultiExitNetwork, dataset: Dataset) -> None:
        """The same seed, the same first weights, and a state by the same names."""
        once, again = (build(self.spec(), dataset, seed=5).state_dict() for _ in range(2))
        assert once.keys() == again.keys() == network.state_dict().keys()
        assert all(torch.equal(once[name], again[name]) for name in once)

    def test_a_branch_trains_itself_and_the_blocks_before_it(self, dataset: Dataset) -> None:
        """In a network that ends with block 2 and has a branch there alone."""
        network = build(self.spec(), dataset, ends=[2], seed=0)
        assert len(network.blocks) == 2
        before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
        step = next(fit(network, dataset.train, Recipe(epochs=1, learning_rate=0.01, shift=0), seed=0))
        assert isinstance(step, Step)
        after = dict(network.named_parameters())
        learned = [name for name in before if after[name].requires_grad and not torch.equal(after[name], before[name])]
        assert any(name.startswith("blocks.") for name in learned)
        assert any(name.startswith("branches.") for name in learned)

    def test_partitions_in_a_chain_are_the_network(self, network: MultiExitNetwork, images: Tensor) -> None:
        """Cut after any block, the two halves compute what the whole computes."""
        last = len(network.blocks)
        with torch.inference_mode():
            whole = network(images)
            for end in range(1, last):
                activation, logits = Partition(network, 1, end).eval()(images)
                assert torch.equal(logits, whole[end - 1])
                assert torch.equal(Partition(network, end + 1, last).eval()(activation)[1], whole[-1])

    def test_partitions_export_to_onnx(self, network: MultiExitNetwork, dataset: Dataset) -> None:
        """Two partitions in ONNX Runtime, one sample at a time, answer as PyTorch does."""
        whole = export(network, dataset.image_shape)
        middle, last = (len(network.blocks) + 1) // 2, len(network.blocks)
        pieces = {middle: cut(whole, 1, middle), last: cut(whole, middle + 1, last)}
        assert parity(network, pieces, dataset.test.images[:2]) <= self.tolerance

    def test_other_processes_can_make_it(self, network: MultiExitNetwork, dataset: Dataset) -> None:
        """Where it says so: networks are trained side by side."""
        spec = self.spec()
        if not spec.portable:
            pytest.skip("it is made from a module in this process")
        again = build(pickle.loads(pickle.dumps(spec)), dataset, seed=0)
        assert again.names == network.names
