from itertools import combinations_with_replacement

import pytest
import torch

from offramp.errors import InputError
from offramp.nn.backbones.resnet import resnet
from offramp.nn.catalog import backbone_spec
from offramp.nn.data import Dataset
from offramp.nn.network import MultiExitNetwork, Partition, build


@pytest.fixture
def images(tiny: Dataset) -> torch.Tensor:
    return torch.tensor(tiny.validation.images)


# He et al., section 4.2: 6n+2 layers are the stem, 3n blocks of two layers and the classifier.
@pytest.mark.parametrize(("depth", "blocks"), [(8, 4), (20, 10), (56, 28), (110, 55)])
def test_a_resnet_is_a_stem_and_its_residual_blocks(depth, blocks):
    assert len(resnet(depth).make((3, 32, 32), 10).blocks) == blocks


def test_resnet20_has_the_published_number_of_weights(tiny):
    network = build(resnet(20), tiny, ends=[10], seed=0)
    # 0.27 M in He et al., table 6; 650 of the 269,722 are the linear layer for 10 classes.
    assert sum(weight.numel() for weight in network.blocks.parameters()) == 269_722 - 650


@pytest.mark.parametrize("name", ["resnet", "resnet21", "resnet2", "vgg16", "resnet-20"])
def test_an_unknown_backbone_is_refused_with_a_remedy(name):
    with pytest.raises(InputError, match="resnet20"):
        backbone_spec(name)


def test_the_loss_reaches_every_weight_and_every_branch_on_its_own(network, images):
    for end, logits in enumerate(network(images), start=1):
        network.zero_grad()
        logits.sum().backward(retain_graph=True)
        reached = {name for name, weight in network.named_parameters() if weight.grad is not None}
        blocks = {name for name, _ in network.named_parameters() if _block(name) and _block(name) <= end}
        branch = {f"branches.{end - 1}.2.weight", f"branches.{end - 1}.2.bias"}
        assert reached == blocks | branch


def _block(name: str) -> int:
    kind, index, *_ = name.split(".")
    return int(index) + 1 if kind == "blocks" else 0


@pytest.mark.parametrize("end", [1, 2, 3, 4])
def test_a_truncated_network_says_what_the_branch_says_in_the_full_configuration(network, images, end):
    alone = network.part([end])
    assert len(alone.blocks) == end
    [logits] = alone(images)
    torch.testing.assert_close(logits, network(images)[end - 1], rtol=0, atol=0)


def test_a_network_built_for_one_branch_takes_the_weights_of_the_full_one(network, tiny, images):
    alone = build(resnet(8), tiny, ends=[2], seed=9)
    weights = {
        name.replace("branches.1.", "branches.0."): weight
        for name, weight in network.state_dict().items()
        if name.startswith(("blocks.0.", "blocks.1.", "branches.1."))
    }
    alone.load_state_dict(weights)
    torch.testing.assert_close(alone.eval()(images)[0], network(images)[1], rtol=0, atol=0)


@pytest.mark.parametrize(("first", "last"), [*combinations_with_replacement(range(1, 5), 2)])
def test_a_partition_is_its_blocks_one_by_one_and_the_last_branch(network, images, first, last):
    x = images
    for block in network.blocks[: first - 1]:
        x = block(x)
    output, logits = Partition(network, first, last)(x)
    for block in network.blocks[first - 1 : last]:
        x = block(x)
    torch.testing.assert_close(output, x, rtol=0, atol=0)
    torch.testing.assert_close(logits, network(images)[last - 1], rtol=0, atol=0)


def test_the_first_block_normalizes_by_the_training_split(network, tiny):
    seen = network.blocks[0][0](torch.tensor(tiny.train.images))
    torch.testing.assert_close(seen.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)


def test_weights_come_from_the_seed_and_leave_the_random_state_alone(tiny):
    before = torch.get_rng_state()
    same, again, other = (build(resnet(8), tiny, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(same[name], again[name]) for name in same)
    assert not torch.equal(same["blocks.1.conv1.weight"], other["blocks.1.conv1.weight"])


def test_the_last_block_needs_a_branch(network):
    with pytest.raises(ValueError, match="the last of 4 blocks"):
        MultiExitNetwork(dict(zip(network.names, network.blocks, strict=True)), {2: network.branch(2)})
