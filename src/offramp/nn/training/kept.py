"""The backbone of a run, kept in its folder: it stays readable where what made the backbone is not at hand."""

import os
import tempfile
from pathlib import Path

import torch

from offramp.errors import InputError
from offramp.nn.catalog import kept_backbone
from offramp.nn.data import Dataset
from offramp.nn.network import MultiExitNetwork, Shape, Spec
from offramp.nn.normalization import taken, usual
from offramp.nn.training.given import first_network
from offramp.nn.training.setup import Setup


def keep(folder: Path, setup: Setup, dataset: Dataset, spec: Spec, network: MultiExitNetwork) -> str:
    """Keep the backbone of a run, unless it is kept already, and see that it is cut again as it was.

    network: what `first_network` made of it.
    Gives what the run can't be read without where it can't be kept, in a sentence; else nothing. Raises `OSError` where
    the folder can't be written.
    """
    if spec.keep is None or kept_backbone(setup.backbone, folder) is not None:
        return ""
    needed = f"keep what makes {spec.name} as it is: the run can't be read without it"
    kind = taken(setup.normalize or usual(dataset), dataset)
    with tempfile.TemporaryDirectory(dir=folder) as unfinished, torch.random.fork_rng():
        torch.manual_seed(setup.seed)
        try:
            spec.keep(Path(unfinished), dataset.image_shape, dataset.classes, kind, dataset.parts)
        except InputError as error:
            return f"{needed}; {error.faults[0].problem}"
        kept = kept_backbone(setup.backbone, Path(unfinished))
        if kept is None or _shapes(first_network(kept, dataset, setup)) != _shapes(network):
            return needed
        for file in Path(unfinished).iterdir():
            os.replace(file, folder / file.name)
    return ""


def _shapes(network: MultiExitNetwork) -> tuple[tuple[str, ...], list[tuple[str, Shape]]]:
    return network.names, [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
