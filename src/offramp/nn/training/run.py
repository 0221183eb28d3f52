"""A training run as a folder: what was asked for in `run.json`, and a checkpoint for every network.

The run trains the full configuration (`joint`) and, for the accuracies of EdgeSys'22, for every block i the
network that ends at block i with branch i alone (`separate-i`). Data that were only in memory are kept as `data.npz`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from torch import Tensor

from offramp.core.tables import html_table
from offramp.errors import Fault, InputError, fail, refuse
from offramp.nn.catalog import BackboneSource, backbone_spec, kept_backbone
from offramp.nn.data import Dataset, Source
from offramp.nn.datasets import read_data
from offramp.nn.datasets.archive import write_archive
from offramp.nn.inference import accuracy
from offramp.nn.network import MultiExitNetwork, Spec, selected
from offramp.nn.parity import check_exports
from offramp.nn.training import checkpoint, jobs
from offramp.nn.training.checkpoint import Checkpoint
from offramp.nn.training.exits import ExitsToTrain, train_exits, with_heads
from offramp.nn.training.fit import Recipe
from offramp.nn.training.given import first_network, normalized_by
from offramp.nn.training.jobs import Event, NetworkToTrain
from offramp.nn.training.kept import keep
from offramp.nn.training.runner import Runner, in_turn
from offramp.nn.training.setup import DATA, Setup, changes, fingerprints, read_record, same_run, write_record

JOINT = "joint"
# Of weights that were trained elsewhere: epochs without a better network, after which training ends.
_PATIENCE = 2


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Run:
    """A folder with trained networks, and what was read of it, once.

    made_of: digests of the images and labels, and of the names and shapes of the network's weights: names of files
        and functions stay the same when what they hold changes.
    dataset: split as it was for training; it has a `source`.
    network: the trained full configuration, on the CPU, in evaluation mode. It is not to be changed; `selected`
        copies it.
    accuracy: [N] of its branches on the validation split.
    separate_accuracy: [N] acc_i on the validation split, of the networks trained for branch i alone; None unless all
        were.
    """

    folder: Path
    setup: Setup
    made_of: Mapping[str, str] = field(repr=False)
    spec: Spec = field(repr=False)
    dataset: Dataset
    network: MultiExitNetwork = field(repr=False)
    accuracy: tuple[float, ...]
    separate_accuracy: tuple[float, ...] | None

    def accuracies(self) -> list[tuple[str, float, float | None]]:
        """[N] name of the block, accuracy of its branch trained jointly, and trained alone where it was."""
        alone = self.separate_accuracy or [None] * len(self.accuracy)
        return list(zip(self.network.names, self.accuracy, alone, strict=True))

    def __repr__(self) -> str:
        best = f"{100 * self.accuracy[-1]:.2f} %"
        return f"Run({self.folder}: {self.setup.backbone} on {self.dataset.name}, {len(self.accuracy)} exits, {best})"

    def _repr_html_(self) -> str:
        return html_table(
            ("branch after", "accuracy, trained jointly", "trained alone"),
            self.accuracies(),
            caption=f"{self.setup.backbone} on {self.dataset.name}, on the validation split",
        )

    def checkpoint(self, name: str) -> Path:
        """Where the network `name` (`joint`, `separate-3`) is kept."""
        return _checkpoint(self.folder, name)

    def to_train(
        self,
        name: str,
        recipe: Recipe,
        *,
        ends: tuple[int, ...] | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> NetworkToTrain:
        """Another network of this backbone, to be trained and kept as `name`; the rest is as in `NetworkToTrain`."""
        return _to_train(self.folder, self.setup, self.spec, name, recipe, ends=ends, weights=weights)

    def training_record(self) -> dict[str, object]:
        """How the accuracies came about, for a profile's provenance."""
        setup = self.setup
        record: dict[str, object] = {"seed": setup.seed, "joint": asdict(setup.joint), "bf16": setup.bf16}
        if setup.from_weights:
            record |= {"train": setup.train, "heads": setup.heads, "normalize": setup.normalize}
        if self.separate_accuracy is not None and setup.separate is not None:
            record["separate"] = asdict(setup.separate)
        return record


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A run that has its folder, and whose networks are to be trained.

    network: the full configuration with its first weights, or, where light exits are trained for it, the backbone as it
        was given, with its own last layers alone.
    note: how images are normalized, where that was found by trying; empty where it was said.
    needed: what the run can't be read without, since no backbone could be kept in it; empty where nothing is.
    The rest is as in `Run`.
    """

    folder: Path
    setup: Setup
    made_of: Mapping[str, str]
    spec: Spec
    dataset: Dataset
    network: MultiExitNetwork
    note: str = ""
    needed: str = ""

    def networks(self) -> list[NetworkToTrain]:
        """`joint` and separate-1 .. separate-N."""
        joint, separate = self.setup.joint, self.setup.separate
        networks = [self._to_train(JOINT, joint, None)]
        if separate is not None:
            networks += [self._to_train(separate_name(end), separate, (end,)) for end in self.network.ends]
        return networks

    def _to_train(self, name: str, recipe: Recipe, ends: tuple[int, ...] | None) -> NetworkToTrain:
        if not self.setup.from_weights:
            return _to_train(self.folder, self.setup, self.spec, name, recipe, ends=ends)
        # With the weights, which may be in a file that other machines don't have.
        weights = self.network.part(ends or self.network.ends).state_dict()
        network = _to_train(self.folder, self.setup, self.spec, name, recipe, ends=ends, weights=weights)
        frozen = self.setup.train == "exits"
        return replace(network, frozen=frozen, patience=None if frozen else _PATIENCE)

    def train(self, runner: Runner = in_turn) -> Iterator[Event]:
        """Train all networks, as the events are taken.

        Finished networks stay, an unfinished one goes on after the last epoch that was kept. Raises `InputError` at
        once for a runner whose processes can't make the backbone, and later what the runner raises where a network
        can't be trained.
        """
        if self.setup.train == "exits" and self.setup.heads == "light":
            return train_exits(self._exits(), self.dataset)
        return jobs.train(self.networks(), self.dataset, runner)

    def _exits(self) -> ExitsToTrain:
        return ExitsToTrain(
            folder=self.folder,
            kept_at=_checkpoint(self.folder, JOINT),
            network=self.network,
            recipe=self.setup.joint,
            seed=self.setup.seed,
            distill=self.setup.distill,
        )

    def finished(self) -> Run:
        """The run, once all events were taken. Raises `InputError` while it is not trained to the end."""
        kept = _joint(self.folder)
        return _run(self.folder, self.setup, self.made_of, self.spec, self.dataset, self.network, kept)


def begin_run(folder: Path, setup: Setup, dataset: Dataset, spec: Spec, *, given: Spec | None = None) -> Training:
    """Make `folder` a run with that setup, or see that it is one.

    setup: of `Setup.of`.
    given: the backbone with weights from a file, where there is one.
    Raises `InputError` where `folder` holds a run of another setup, other data or another network; where it can't be
    written; and where the backbone can't be made for the data set, or can't be exported: before it is trained.
    """
    dataset = _with_source(dataset, folder, setup)
    begun, note = (folder / "run.json").exists(), ""
    if setup.normalize is None:
        before = read_record(folder)[0].normalize if begun else None
        normalize, note = (before, "") if before else normalized_by(given or spec, dataset, seed=setup.seed)
        setup = replace(setup, normalize=normalize)
    network = first_network(given or spec, dataset, setup)
    if spec.foreign and not begun:
        check_exports(network, dataset.train.images[:1])
    made_of = fingerprints(dataset, network, weights=setup.from_weights)
    if begun:
        setup = same_run(folder, setup, made_of)
    elif setup.from_weights:
        [achieved] = accuracy(network.part(network.ends[-1:]), dataset.validation)
        setup = replace(setup, given_accuracy=achieved)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if setup.dataset == DATA and not (begun and (folder / DATA).exists()):
            write_archive(dataset, folder / DATA)
        needed = keep(folder, setup, dataset, given or spec, network)
        write_record(folder, setup, made_of)
    except OSError as error:
        fail(str(folder), f"can't be written: {error.strerror}", "give a folder, new or of a run, that can be")
    return Training(folder, setup, made_of, spec, dataset, network, note, needed)


def read_run(folder: Path, *, dataset: Dataset | None = None, backbone: BackboneSource | None = None) -> Run:
    """The run in `folder`, trained to the end.

    dataset: what it was trained on, where that is at hand already; None to read it.
    backbone: what its network was made from, where the run has kept none: see `Training.needed`.
    Raises `InputError` where there is no run or it is not trained to the end, where data or network can't be had or
    are no longer what they were.
    """
    setup, made_of = read_record(folder)
    kept = _joint(folder)
    spec = _spec(folder, setup, backbone)
    if dataset is None:
        source = _source(folder, setup)
        dataset = read_data(source.name, seed=source.seed, size=source.size)
    dataset = _with_source(dataset, folder, setup)
    network = first_network(spec, dataset, setup)
    refuse(changes(made_of, fingerprints(dataset, network)), source=str(folder))
    return _run(folder, setup, made_of, spec, dataset, network, kept)


def separate_name(end: int) -> str:
    """Name of the network that ends at block `end`, with the branch there alone."""
    return f"separate-{end}"


def _checkpoint(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def _to_train(
    folder: Path,
    setup: Setup,
    spec: Spec,
    name: str,
    recipe: Recipe,
    *,
    ends: tuple[int, ...] | None,
    weights: Mapping[str, Tensor] | None = None,
) -> NetworkToTrain:
    return NetworkToTrain(
        name=name,
        kept_at=_checkpoint(folder, name),
        spec=spec,
        ends=ends,
        recipe=recipe,
        seed=setup.seed,
        bf16=setup.bf16,
        weights=weights,
        normalize=setup.normalize,
        light=setup.heads == "light",
    )


def _run(
    folder: Path,
    setup: Setup,
    made_of: Mapping[str, str],
    spec: Spec,
    dataset: Dataset,
    network: MultiExitNetwork,
    kept: Checkpoint,
) -> Run:
    """The run whose full configuration has the weights `kept`.

    network: as `first_network` makes it; it stays as it is.
    """
    network = with_heads(network, kept.heads, dataset) if kept.heads else selected(network, network.ends)
    network.load_state_dict(dict(kept.weights))
    # Exits of a network that stays as it is don't depend on each other: trained together, each is trained alone.
    if setup.train == "exits":
        return Run(folder, setup, made_of, spec, dataset, network.eval(), kept.accuracy, kept.accuracy)
    alone = [checkpoint.finished_accuracy(_checkpoint(folder, separate_name(end))) for end in network.ends]
    separate = tuple(accuracy[0] for accuracy in alone if accuracy is not None)
    return Run(
        folder=folder,
        setup=setup,
        made_of=made_of,
        spec=spec,
        dataset=dataset,
        network=network.eval(),
        accuracy=kept.accuracy,
        separate_accuracy=separate if len(separate) == len(alone) else None,
    )


def _joint(folder: Path) -> Checkpoint:
    """The full configuration's. Raises `InputError` while it is not trained to the end."""
    kept = checkpoint.read(_checkpoint(folder, JOINT))
    if kept is None or not kept.finished:
        fault = Fault(JOINT, "is not trained to the end", "run the same `offramp train` again: it goes on")
        raise InputError([fault], source=str(folder))
    return kept


def _spec(folder: Path, setup: Setup, backbone: BackboneSource | None) -> Spec:
    if backbone is None and (kept := kept_backbone(setup.backbone, folder)) is not None:
        return kept
    try:
        return backbone_spec(setup.backbone if backbone is None else backbone)
    except InputError as error:
        raise InputError(error.faults, source=str(folder)) from error


def _with_source(dataset: Dataset, folder: Path, setup: Setup) -> Dataset:
    """The data set, which can be read again, be it from the run's folder."""
    return dataset if dataset.source is not None else replace(dataset, source=_source(folder, setup))


def _source(folder: Path, setup: Setup) -> Source:
    name = str((folder / DATA).resolve()) if setup.dataset == DATA else setup.dataset
    return Source(name, setup.seed if setup.data_seed is None else setup.data_seed, setup.image_size)
