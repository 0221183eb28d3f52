"""Fitting one network: stochastic gradient descent as a stream of events, able to go on where it stopped."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offramp.core import checks
from offramp.errors import Fault, fail, refuse
from offramp.files.maps import is_mapped
from offramp.nn.data import Augmentation, Split, batches
from offramp.nn.network import MultiExitNetwork, lay_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is fitted.

    learning_rate: the peak, reached after `warmup` (a share of all steps); from there a cosine down to zero.
    shift: images are moved by up to so many pixels each way.
    flip: images are mirrored left to right by chance.
    given_share: the share of the rate with which weights learn that were given, and not new: those of the blocks and
        of the last branch.
    """

    epochs: int
    batch_size: int = 16
    learning_rate: float = 0.1
    warmup: float = 0.25
    momentum: float = 0.9
    weight_decay: float = 5e-4
    shift: int = 1
    flip: bool = False
    given_share: float = 1.0

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        yield from checks.positive("epochs", self.epochs, "train for at least one epoch")
        yield from checks.positive("batch_size", self.batch_size, "learn from at least one sample at a time")
        yield from checks.positive("learning_rate", self.learning_rate, "give a rate, e.g. 0.05")
        yield from checks.not_negative("shift", self.shift, "give pixels, zero for none")

    def rate(self, done: float) -> float:
        """Learning rate when the share `done` of all steps is done."""
        if done < self.warmup:
            return self.learning_rate * done / self.warmup
        return self.learning_rate * (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup))) / 2


@dataclass(frozen=True, slots=True)
class Step:
    """One batch was learned.

    epoch: 1-based.
    images: how many the batch held.
    loss: sum of the branches' cross-entropies.
    accuracy: share of the batch that the last branch had right, before the step.
    """

    epoch: int
    images: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True, eq=False)
class EpochEnd:
    """All samples were learned once more.

    epoch: 1-based.
    momentum: the optimizer's state, by the names of the parameters that learn.
    """

    epoch: int
    momentum: Mapping[str, Tensor]


def fit(
    network: MultiExitNetwork,
    split: Split,
    recipe: Recipe,
    *,
    seed: int,
    bf16: bool = False,
    start: EpochEnd | None = None,
) -> Iterator[Step | EpochEnd]:
    """Fit `network`, where it is, to the sum of its branches' cross-entropies; it changes as the events are taken.

    seed: of the order, the shifts and the mirroring of the samples; each epoch has its own stream, so that one
        that starts after `start` sees what it would have seen without the break.
    bf16: compute in bfloat16 what allows it; weights stay float32.
    start: the last epoch that was finished before; `network` holds its weights.

    Blocks and branches that are frozen altogether stay in evaluation mode, statistics and all.
    The loss is that of EdgeSys'22, section 2.1, after Teerapittayanon et al., BranchyNet, ICPR 2016, with all
    weights 1. Raises `InputError` when the loss is no number any more.
    """
    device = next(network.parameters()).device
    lay_out(network, torch.channels_last)
    images = split.images if is_mapped(split.images) else torch.tensor(split.images, device=device)
    labels = torch.tensor(split.labels, device=device)
    augmentation = Augmentation(recipe.shift, recipe.flip)
    new = [*network.branches[:-1].parameters()]
    given = [*network.blocks.parameters(), *network.branches[-1].parameters()]
    groups = [{"params": given, "share": recipe.given_share}, {"params": new, "share": 1.0}]
    optimizer = torch.optim.SGD(
        groups, lr=0.0, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    first = 1
    if start is not None:
        first = start.epoch + 1
        for name, weight in network.named_parameters():
            if name in start.momentum:
                buffer = torch.empty_like(weight).copy_(start.momentum[name]).detach()
                optimizer.state[weight]["momentum_buffer"] = buffer
    for epoch in range(first, recipe.epochs + 1):
        learned = 0
        train_mode(network)
        rng = np.random.default_rng([seed, epoch])
        for x, y in batches(images, labels, batch_size=recipe.batch_size, augmentation=augmentation, rng=rng):
            learned += len(y)
            # The rate of the step's end: the first step would otherwise learn nothing.
            rate = recipe.rate((epoch - 1 + learned / len(split)) / recipe.epochs)
            for group in optimizer.param_groups:
                group["lr"] = group["share"] * rate
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits = network(x)
            loss = torch.stack([F.cross_entropy(branch.float(), y) for branch in logits]).sum()
            if not math.isfinite(loss.item()):
                problem = f"makes the loss {loss.item()} in epoch {epoch}"
                fail("learning rate", f"{recipe.learning_rate:g} {problem}", "give a lower one")
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            accuracy = (logits[-1].argmax(1) == y).float().mean().item()
            yield Step(epoch, len(y), loss.item(), accuracy)
        # Weights that are frozen, or that no branch depends on, have none.
        states = {name: optimizer.state.get(weight, {}) for name, weight in network.named_parameters()}
        momentum = {name: state["momentum_buffer"] for name, state in states.items() if "momentum_buffer" in state}
        yield EpochEnd(epoch, momentum)


def train_mode(network: MultiExitNetwork) -> None:
    """Put in training mode what learns, and in evaluation mode what is frozen altogether.

    A block without weights goes with the others: it is frozen where all that have some are.
    """
    network.train()
    learning = any(weight.requires_grad for weight in network.blocks.parameters())
    for part in (*network.blocks, *network.branches):
        weights = [*part.parameters()]
        if not (any(weight.requires_grad for weight in weights) if weights else learning):
            part.eval()


def place(network: nn.Module) -> None:
    """Move `network` to where training is fastest: the CUDA device if there is one."""
    if torch.cuda.is_available():
        network.to("cuda")
