"""What can't be exported is refused before it is trained."""

import pytest
import torch
from torch import Tensor, nn

from offramp.errors import InputError
from offramp.nn.backbones.custom import custom
from offramp.nn.training.fit import Recipe
from offramp.nn.training.run import begin_run
from offramp.nn.training.setup import Setup


class Bessel(nn.Module):
    """No ONNX operation computes it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


def test_what_cannot_be_exported_is_refused_before_it_is_trained(tiny, tmp_path):
    layers = [nn.Conv2d(3, 4, 3), Bessel(), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)]
    spec = custom("bessel", lambda shape, classes: nn.Sequential(*layers))
    setup = Setup.of(spec, tiny, seed=0, bf16=False, joint=Recipe(epochs=1, batch_size=16), separate=None)
    with pytest.raises(InputError, match=r"`bessel_j0` can't be exported: .*; do without that operation"):
        begin_run(tmp_path / "run", setup, tiny, spec)
    assert not (tmp_path / "run").exists()
