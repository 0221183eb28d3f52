"""A network that comes with its weights: as it is before training, and how its images were normalized."""

import math
from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import torch

from offramp.core.checks import IntArray
from offramp.errors import InputError
from offramp.nn.data import Dataset
from offramp.nn.datasets.gray import with_one_channel
from offramp.nn.heads import lightest
from offramp.nn.inputs import are_whole, at
from offramp.nn.network import MultiExitNetwork, Spec, as_given, build
from offramp.nn.normalization import DATA, IMAGENET, RAW, SYMMETRIC, UNIT, normalization, usual
from offramp.nn.training.setup import Setup

_TRIED_ON = 1000
# By so many standard errors a network has to be better than who always says the most frequent class.
_CLEARLY = 5.0
_BATCH = 100


def first_network(spec: Spec, dataset: Dataset, setup: Setup) -> MultiExitNetwork:
    """The network that training begins with: the full configuration, or for light exits the backbone as it was given.

    What stays as it is gets no branches like its own first: these may be large.
    """
    normalize = setup.normalize or usual(dataset)
    if setup.train == "exits" and setup.heads == "light":
        return as_given(spec, dataset, seed=setup.seed, normalize=normalize)[0].eval()
    head = lightest if setup.heads == "light" else None
    return build(spec, dataset, seed=setup.seed, normalize=normalize, head=head)


def in_its_channels(spec: Spec, dataset: Dataset) -> Dataset:
    """The data set, its gray images with one channel where a network of someone else takes no three.

    Where it takes neither, what is wrong is told when the network is made.
    """
    gray = with_one_channel(dataset) if spec.make_for is not None else None
    if gray is None:
        return dataset
    for each in (dataset, gray):
        with suppress(InputError):
            spec.line(each.image_shape, each.classes, torch.float32, ())
            return each
    return dataset


def normalized_by(spec: Spec, dataset: Dataset, *, seed: int) -> tuple[str, str]:
    """How images are normalized for a network that has its weights, and how that was found out.

    It says so itself, or it is the way with which it has most of 1,000 training samples right: with another than it
    was trained with, a network has far fewer. The validation split has no part in it.
    """
    network, said = as_given(spec, dataset, seed=seed, normalize=None)
    if said is not None:
        return said, f"{said}, as the network says"
    if len(ways := _ways(dataset)) == 1:
        return ways[0], ""
    labels, achieved = _tried(network, dataset, ways, seed)
    best = max(achieved, key=lambda text: achieved[text])
    others = ", ".join(f"{text} {100 * share:.1f} %" for text, share in achieved.items() if text != best)
    return best, f"{best}: with it {100 * achieved[best]:.1f} % of {len(labels)} training samples are right ({others})"


def seems_trained(spec: Spec, dataset: Dataset, *, seed: int, normalize: str | None) -> bool:
    """Whether a network, as it is, is clearly better on 1,000 training samples than who always says the same.

    normalize: how images are normalized for it; None for what it says itself, or else the best way there is.
    """
    network, said = as_given(spec, dataset, seed=seed, normalize=None)
    one = normalize or said
    labels, achieved = _tried(network, dataset, (one,) if one else _ways(dataset), seed)
    same = float(np.bincount(labels).max() / len(labels))
    return max(achieved.values()) > same + _CLEARLY * math.sqrt(same * (1 - same) / len(labels))


def _ways(dataset: Dataset) -> tuple[str, ...]:
    """That samples of that data set are normalized by, usually."""
    if are_whole(dataset.input_type):
        return (RAW,)
    if not dataset.pictures:
        return (RAW, DATA, UNIT) if dataset.input_type == torch.uint8 else (RAW, DATA)
    return (DATA, *([IMAGENET] if dataset.image_shape[0] == 3 else []), UNIT, SYMMETRIC, RAW)


def _tried(
    network: MultiExitNetwork, dataset: Dataset, normalizations: Iterable[str], seed: int
) -> tuple[IntArray, dict[str, float]]:
    """[R] labels of some training samples, and the share of them that is right, by the way images are normalized."""
    network.eval()
    rows = np.random.default_rng(seed).permutation(len(dataset.train))[:_TRIED_ON]
    places, labels = torch.from_numpy(rows), torch.tensor(dataset.train.labels[rows])
    first, *blocks = network.blocks
    assert isinstance(first, torch.nn.Sequential)
    achieved = {}
    for text in normalizations:
        whole = torch.nn.Sequential(normalization(text, dataset), first[1], *blocks, network.branches[-1]).eval()
        with torch.inference_mode():
            batches = (at(dataset.train.images, few) for few in torch.split(places, _BATCH))
            said_right = [whole(batch).argmax(1) for batch in batches]
        achieved[text] = float((torch.cat(said_right) == labels).float().mean())
    return dataset.train.labels[rows], achieved
