"""Weights from files of all kinds."""

import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from offramp.errors import InputError
from offramp.nn.weights import load_weights


def module(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))


def kept(source: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in source.state_dict().items()}


FILES = {
    "state dict": lambda path, state: torch.save(state, path),
    "safetensors": lambda path, state: save_file(state, path),
    "wrapped": lambda path, state: torch.save({"epoch": 3, "state_dict": state}, path),
    "wrapped twice": lambda path, state: torch.save({"model": {"state_dict": state}}, path),
    "in parallel": lambda path, state: torch.save({f"module.{name}": value for name, value in state.items()}, path),
    "compiled": lambda path, state: torch.save({f"_orig_mod.{name}": value for name, value in state.items()}, path),
    "in a trainer": lambda path, state: torch.save(
        {"state_dict": {f"model.net.{name}": value for name, value in state.items()}}, path
    ),
    "old": lambda path, state: torch.save(
        {name: value for name, value in state.items() if "num_batches" not in name}, path
    ),
}


@pytest.mark.parametrize("form", FILES)
def test_weights_are_read_from(form, tmp_path):
    trained, fresh = module(), module()
    path = tmp_path / ("net.safetensors" if form == "safetensors" else "net.pt")
    FILES[form](path, kept(trained))
    load_weights(fresh, path)
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in fresh.state_dict().items())


class Malicious:
    def __reduce__(self):
        return (exec, ("raise RuntimeError('this ran')",))


REFUSED = {
    "a whole module": (lambda path: torch.save(module(), path), "weights: is no state dict"),
    "code": (lambda path: torch.save(Malicious(), path), "weights: is no state dict"),
    "text": (lambda path: path.write_text("hello"), "weights: is no state dict"),
    "nothing": (lambda path: path.write_bytes(b""), "weights: can't be read"),
    "no file": (lambda path: None, "weights: there is no such file"),
    "a list": (lambda path: torch.save([1, 2], path), "holds list"),
    "another width": (lambda path: torch.save(kept(module(5)), path), r"0.weight: is [5, 2] in the file, [3, 2] in"),
    "one missing": (
        lambda path: torch.save({k: v for k, v in kept(module()).items() if k != "0.bias"}, path),
        "0.bias: is not in the file",
    ),
    "one too many": (
        lambda path: torch.save({**kept(module()), "9.bias": torch.zeros(1)}, path),
        "9.bias: is in the file, and no weight of the network",
    ),
}


@pytest.mark.parametrize("form", REFUSED)
def test_refused(form, tmp_path):
    path = tmp_path / "net.pt"
    write, message = REFUSED[form]
    write(path)
    fresh = module()
    before = kept(fresh)
    with pytest.raises(InputError, match=re.escape(message)):
        load_weights(fresh, path)
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file(kept(module()), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="weights: can't be read"):
        load_weights(module(), path)
