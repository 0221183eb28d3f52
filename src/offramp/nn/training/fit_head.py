"""Fitting one head to features: a small problem, solved in seconds."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offramp.core.checks import IntArray
from offramp.files.maps import filled
from offramp.nn.heads import Head
from offramp.nn.training.fit import Recipe

# As in Hinton, Vinyals, Dean, Distilling the Knowledge in a Neural Network, 2015, section 2: gradients of softened
# targets scale with the inverse square of the temperature.
_TEMPERATURE = 2.0
_TEACHER_SHARE = 0.5
_AT_ONCE = 1024
# That statistics are computed of as a whole.
_NUMBERS_AT_ONCE = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What heads learn from.

    inputs: [R, ...] a block's output, reduced.
    labels: [R].
    logits: [R, C] of the last exit; None to learn from labels alone.
    """

    inputs: Tensor
    labels: Tensor
    logits: Tensor | None


@dataclass(frozen=True, slots=True)
class FitStep:
    """One batch was learned.

    epoch: 1-based.
    images: how many the batch held.
    loss, accuracy: on the batch, before the step.
    """

    epoch: int
    images: int
    loss: float
    accuracy: float


def fit_head(head: Head, samples: Samples, rows: IntArray, recipe: Recipe, *, seed: int) -> Iterator[FitStep]:
    """Fit `head`, where it is, to the samples at `rows`; it is in evaluation mode at the end.

    seed: of the order of the samples.
    Adam with decoupled weight decay (Loshchilov, Hutter, Decoupled Weight Decay Regularization, ICLR 2019), on
    standardized inputs: channels of a network that was given differ by orders of magnitude. What standardizes them
    becomes part of the first layer's weights in the end, so it takes no time where the head is deployed.
    """
    begins = head.classifier[0] if isinstance(head.classifier, nn.Sequential) else None
    linear = begins if isinstance(begins, nn.Linear) else None
    summarized = None if linear is None else _summarized(head, samples.inputs, rows)
    mean, deviation = _statistics(summarized) if summarized is not None else (None, None)
    optimizer = torch.optim.AdamW(head.classifier.parameters(), lr=0.0, weight_decay=recipe.weight_decay)
    head.train()
    for epoch in range(1, recipe.epochs + 1):
        order, learned = np.random.default_rng([seed, epoch]).permutation(len(rows)), 0
        for places in _batches(order, recipe.batch_size):
            chosen = torch.from_numpy(rows[places])
            if summarized is None or mean is None or deviation is None:
                x = samples.inputs[chosen]
            else:
                x = (summarized[torch.from_numpy(places)] - mean) / deviation
            said, labels = head.classifier(x), samples.labels[chosen]
            loss = F.cross_entropy(said, labels)
            if samples.logits is not None:
                loss = _distilled(loss, said, samples.logits[chosen])
            learned += len(places)
            optimizer.param_groups[0]["lr"] = recipe.rate((epoch - 1 + learned / len(rows)) / recipe.epochs)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            yield FitStep(epoch, len(places), loss.item(), (said.argmax(1) == labels).float().mean().item())
    if linear is not None and mean is not None and deviation is not None:
        _fold(linear, mean, deviation)
    head.eval()


def right(head: Head, samples: Samples, rows: IntArray) -> float:
    """Share of the samples at `rows` that a head has right, in evaluation mode."""
    count = 0
    with torch.inference_mode():
        for places in _parts(rows):
            chosen = torch.from_numpy(places)
            said = head.classifier(head.summary(samples.inputs[chosen]))
            count += int((said.argmax(1) == samples.labels[chosen]).sum())
    return count / len(rows)


def _summarized(head: Head, inputs: Tensor, rows: IntArray) -> Tensor:
    """[R, D] what the head's classifier looks at; in a file where it is large."""
    summaries = (head.summary(inputs[torch.from_numpy(places)]).numpy() for places in _parts(rows))
    with torch.no_grad():
        found = filled("features", chain.from_iterable(summaries), count=len(rows))
    assert found is not None
    return torch.from_numpy(found)


def _statistics(summarized: Tensor) -> tuple[Tensor, Tensor]:
    """[D] mean and deviation; 1 for what is the same everywhere."""
    if summarized.numel() <= _NUMBERS_AT_ONCE:
        deviation, mean = torch.std_mean(summarized.double(), dim=0, correction=0)
    else:
        pieces = torch.split(summarized, _AT_ONCE)
        mean = torch.stack([piece.double().sum(dim=0) for piece in pieces]).sum(dim=0) / len(summarized)
        squares = [((piece.double() - mean) ** 2).sum(dim=0) for piece in pieces]
        deviation = (torch.stack(squares).sum(dim=0) / len(summarized)).sqrt()
    return mean.float(), torch.where(deviation < 1e-6 * (1 + mean.abs()), 1.0, deviation).float()


def _parts(rows: IntArray) -> list[IntArray]:
    return np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE))


def _fold(linear: nn.Linear, mean: Tensor, deviation: Tensor) -> None:
    """Give the layer, which was fitted to standardized inputs, the weights that say the same of plain ones."""
    with torch.no_grad():
        weight = linear.weight.double() / deviation.double()
        linear.bias.copy_(linear.bias.double() - weight @ mean.double())
        linear.weight.copy_(weight)


def _distilled(loss: Tensor, said: Tensor, teacher: Tensor) -> Tensor:
    """The loss, half of it by what the last exit says of the other classes."""
    softened = F.kl_div(
        torch.log_softmax(said / _TEMPERATURE, dim=1),
        torch.log_softmax(teacher / _TEMPERATURE, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return (1 - _TEACHER_SHARE) * loss + _TEACHER_SHARE * _TEMPERATURE**2 * softened


def _batches(order: IntArray, size: int) -> Iterator[IntArray]:
    """All places once; one that would be left alone goes with those before: normalization needs two."""
    ends = [*range(size, len(order), size), len(order)]
    if len(ends) > 1 and ends[-1] - ends[-2] == 1:
        del ends[-2]
    yield from (order[first:end] for first, end in zip([0, *ends], ends, strict=False))
