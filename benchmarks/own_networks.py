"""Networks as someone else would have them, trained by PyTorch alone, and what they say."""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

BATCH = 256
"""That networks are asked in: of other batches sums are rounded otherwise."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Residual(nn.Module):
    """Two convolutions, of images or series, and the way past them."""

    def __init__(self, channels: int, made: int, *, stride: int, axes: int) -> None:
        super().__init__()
        conv, norm = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d))[axes - 1]
        self.body = nn.Sequential(
            conv(channels, made, 3, stride, 1, bias=False),
            norm(made),
            nn.SiLU(),
            conv(made, made, 3, 1, 1, bias=False),
            norm(made),
        )
        self.past = conv(channels, made, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, ...] -> [B, made, ...]."""
        return nn.functional.silu(self.body(x) + self.past(x))


def residual(channels: int, classes: int, *, axes: int) -> nn.Module:
    """A small residual network of images (two axes) or series (one)."""
    widths = (channels, 16, 16, 32, 32, 64)
    pool = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)[axes - 1]
    return nn.Sequential(
        *(
            Residual(before, made, stride=1 if before in (channels, made) else 2, axes=axes)
            for before, made in itertools.pairwise(widths)
        ),
        pool(1),
        nn.Flatten(),
        nn.Linear(widths[-1], classes),
    )


def pictures(num_classes: int) -> nn.Module:
    """A network that says itself how its images are normalized."""
    module = residual(3, num_classes, axes=2)
    module.normalize = "0.4/0.3"
    return module


def one_logit(num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
    """A perceptron that tells two classes apart by one number."""
    widths = (image_shape[0], 64, 64, 32, 32)
    layers = [
        nn.Sequential(nn.Linear(before, made), nn.BatchNorm1d(made), nn.GELU())
        for before, made in itertools.pairwise(widths)
    ]
    return nn.Sequential(nn.BatchNorm1d(widths[0]), *layers, nn.Linear(widths[-1], 1))


class Encoder(nn.Module):
    """An encoder of transformers, the mean of its tokens, and a linear layer."""

    def __init__(self, folder: Path, classes: int) -> None:
        super().__init__()
        from transformers import AutoModel

        self.encoder = AutoModel.from_pretrained(folder, local_files_only=True, attn_implementation="eager")
        self.classify = nn.Linear(self.encoder.config.hidden_size, classes)

    def pooled(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Ids and mask [B, T] -> [B, width]."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).float()
        return (hidden * mask).sum(1) / mask.sum(1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Ids and mask [B, T] -> logits [B, classes]."""
        return self.classify(self.pooled(input_ids, attention_mask))


def normalizing(mean: Iterable[float], deviation: Iterable[float]) -> Callable[[Tensor], Tensor]:
    """From images of 8 bits to floats, as torchvision does it."""
    less, by = (torch.tensor([*numbers], dtype=torch.float32).view(-1, 1, 1) for numbers in (mean, deviation))
    return lambda images: (images.float() / 255 - less) / by


def unchanged(samples: Tensor) -> Tensor:
    """The samples as floats."""
    return samples.float()


def taught(
    module: nn.Module,
    samples: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    *,
    epochs: int,
    prepared: Callable[[Tensor], Tensor] = unchanged,
    rate: float = 3e-3,
    size: int = 64,
    seed: int = 0,
) -> nn.Module:
    """The module, trained: AdamW and one cycle.

    prepared: what becomes of samples before the module gets them.
    """
    x, y = torch.tensor(samples), torch.tensor(labels)
    steps = epochs * (len(y) // size)
    optimizer = torch.optim.AdamW(module.parameters(), rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(steps, 1))
    generator = torch.Generator().manual_seed(seed)
    module.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(y), generator=generator)[: len(y) // size * size].split(size):
            optimizer.zero_grad()
            torch.autograd.backward(_loss(module(prepared(x[chosen])), y[chosen]))
            optimizer.step()
            schedule.step()
    return module.eval()


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return nn.functional.binary_cross_entropy_with_logits(logits[:, 0], labels.float())
    return nn.functional.cross_entropy(logits, labels)


def said(module: nn.Module, *inputs: Tensor, prepared: Callable[[Tensor], Tensor] = unchanged) -> Tensor:
    """Logits [S, classes] of all samples; one number z for each sample is 0 and z.

    inputs: [S, ...] each; `prepared` is done to them where there is one.
    """
    few = zip(*(given.split(BATCH) for given in inputs), strict=True)
    with torch.inference_mode():
        logits = torch.cat([module(*(map(prepared, some) if len(some) == 1 else some)) for some in few])
    return nn.functional.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits


def by_name(name: str, classes: int) -> nn.Module:
    """A network of torchvision or timm, with the weights that it is made with."""
    library, _, model = name.partition(":")
    if library == "timm":
        import timm

        return timm.create_model(model, pretrained=False, num_classes=classes)
    from torchvision import models

    return models.get_model(model, weights=None, num_classes=classes)


def seen(module: nn.Module, images: np.ndarray[Any, Any], *, prepared: Callable[[Tensor], Tensor]) -> None:
    """Let batch normalization take its statistics from some images, all alike; no weight learns."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    module.train()
    with torch.no_grad():
        for few in torch.tensor(images[: 4 * BATCH]).split(BATCH):
            module(prepared(few))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    module.eval()


def classified(module: Encoder, ids: Tensor, mask: Tensor, labels: np.ndarray[Any, Any]) -> None:
    """Fit the last layer of an encoder that stays as it is, by logistic regression."""
    from sklearn.linear_model import LogisticRegression

    few = zip(ids.split(BATCH), mask.split(BATCH), strict=True)
    with torch.inference_mode():
        features = torch.cat([module.pooled(*some) for some in few]).numpy()
    fitted = LogisticRegression(max_iter=300, C=3).fit(features, labels)
    with torch.no_grad():
        module.classify.weight.copy_(torch.tensor(fitted.coef_))
        module.classify.bias.copy_(torch.tensor(fitted.intercept_))
