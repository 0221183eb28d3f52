"""From a network to partitions that ONNX Runtime runs.

The whole network is exported once, with every block's output and every branch's answer as outputs; a partition is then
cut out of that graph in milliseconds, where exporting it for itself would take seconds.
"""

import copy
import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import onnx
import torch
from onnx import ModelProto
from torch import Tensor, nn

from offramp.bundle.session import PartitionSession
from offramp.core.score import ENTROPY, Score
from offramp.errors import fail
from offramp.nn.network import MultiExitNetwork, lay_out
from offramp.nn.onnx_block import OnnxBlock, joined
from offramp.nn.scores import scores

OPSET = 18

_NORMALIZED, _LOGITS = "normalized", "logits"
ANOTHER = "do without that operation, or use another network"
"""What helps where a network can't be exported."""
_OPERATION = re.compile(r"No ONNX function found for <OpOverload\(op='\w+\.(?P<name>\w+)'")


class _Answering(nn.Module):
    """A network whose branches answer with probabilities and their score."""

    def __init__(self, network: MultiExitNetwork, score: Score) -> None:
        super().__init__()
        self.network = network
        self.score = score

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Raw samples [B, ...] -> of every block its output, of its branch probabilities [B, K] and score [B]."""
        outputs: list[Tensor] = []
        x = images
        for i, block in enumerate(self.network.blocks, start=1):
            x = block(x)
            outputs.append(x)
            if i in self.network.ends:
                outputs += answer(self.network.branch(i)(x), self.score, i)
        return tuple(outputs)


class _Around(nn.Module):
    """What is torch's of a network whose blocks are parts of an ONNX file: how it begins, and what exits answer."""

    def __init__(self, network: MultiExitNetwork, score: Score) -> None:
        super().__init__()
        self.score = score
        self.normalize = _halves(network.blocks[0])[0]
        self.ends = network.ends
        self.heads = nn.ModuleList(
            nn.Identity() if isinstance(branch, OnnxBlock) else branch for branch in network.branches
        )

    def names(self) -> list[str]:
        """Of what it makes, but for the normalized samples."""
        return [name for end in self.ends for name in (_probabilities(end), _score(end))]

    def forward(self, images: list[Tensor]) -> tuple[Tensor, ...]:
        """Raw samples, and what each branch's own part takes -> normalized samples; probabilities and scores."""
        answers = [
            answer(head(x), self.score, end) for end, head, x in zip(self.ends, self.heads, images[1:], strict=True)
        ]
        return (self.normalize(images[0]), *(tensor for pair in answers for tensor in pair))


def answer(logits: Tensor, score: Score, branch: int) -> tuple[Tensor, Tensor]:
    """[B, K] logits of one branch, 1-based -> probabilities [B, K] and the score [B], as the exit table has it."""
    return torch.log_softmax(logits, dim=1).exp(), scores(logits, score, branch)


def export(
    network: MultiExitNetwork, image_shape: Iterable[int], kind: torch.dtype = torch.uint8, *, score: Score = ENTROPY
) -> ModelProto:
    """The whole network as one ONNX graph, to be cut by `cut`: any batch size, weights inside.

    image_shape: (C, H, W) of images, else the shape of a sample.
    kind: the type of its numbers.
    score: what its exits compare to their thresholds.
    Raises `InputError` with the operation that can't be exported.
    """
    names = [
        name
        for i in range(1, len(network.blocks) + 1)
        for name in (_output(i), *((_probabilities(i), _score(i)) if i in network.ends else ()))
    ]
    samples = torch.zeros(2, *image_shape, dtype=kind)
    # On a copy, in the usual memory layout: the export must not change the network, nor depend on how it was trained.
    own = copy.deepcopy(network).cpu().eval()
    lay_out(own, torch.contiguous_format)
    if not any(isinstance(part, OnnxBlock) for part in own.modules()):
        return _exported(_Answering(own, score), {_output(0): samples}, names, opset=OPSET)
    parts = _parts(own)
    opset = max(known.version for part, _, _ in parts.values() for known in part.opset_import if not known.domain)
    around = _Around(own, score)
    rest = _exported(around, _taken(own, samples), [_NORMALIZED, *around.names()], opset=opset)
    return joined(rest, parts, names)


def _exported(module: nn.Module, given: Mapping[str, Tensor], names: list[str], *, opset: int) -> ModelProto:
    """A module in evaluation mode as a graph.

    given: by name, what its parameter `images` is, or is a list of.
    names: of what it makes.
    """
    samples = [*given.values()]
    batch = [{0: torch.export.Dim("batch", min=1)} for _ in samples]
    single = isinstance(module, _Answering)
    with warnings.catch_warnings(), _quiet("torch.onnx"):
        warnings.simplefilter("ignore")  # of deprecated parts of torch that its own exporter uses
        try:
            program = torch.onnx.export(
                module,
                (samples[0] if single else samples,),
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=[*given],
                output_names=names,
                dynamic_shapes={"images": batch[0] if single else batch},
            )
        except Exception as error:  # of the exporter, or whatever it ran into
            fail("backbone", _what_stopped(error), ANOTHER)
    assert program is not None
    return program.model_proto


def load(model: bytes) -> PartitionSession:
    """A partition that was exported just now. Raises `InputError` where ONNX Runtime can't load it."""
    return PartitionSession(model, remedy=ANOTHER)


def cut(whole: ModelProto, first: int, last: int) -> bytes:
    """Blocks first..last, 1-based, and the branch after the last as an ONNX file.

    Input `x`; outputs `output`, `probabilities`, `score`, as `PartitionSession` wants them.
    """
    return _cut(whole, first, {_output(last): "output", _probabilities(last): "probabilities", _score(last): "score"})


def cut_block(whole: ModelProto, block: int) -> bytes:
    """One block without its branch as an ONNX file: input `x`, output `output`."""
    return _cut(whole, block, {_output(block): "output"})


def cut_branch(whole: ModelProto, block: int) -> bytes:
    """The branch after one block as an ONNX file: input `x`, the block's output; `probabilities` and `score`."""
    return _cut(whole, block + 1, {_probabilities(block): "probabilities", _score(block): "score"})


def _what_stopped(error: BaseException) -> str:
    """The operation that can't be exported, or else what the exporter said first."""
    cause: BaseException | None = error
    while cause is not None:
        if match := _OPERATION.search(str(cause)):
            return f"`{match['name'].lstrip('_')}` can't be exported: ONNX has nothing like it"
        error, cause = cause, cause.__cause__
    return f"can't be exported: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """The kind of an error, and the first line of what it says."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


def _halves(block: nn.Module) -> tuple[nn.Module, OnnxBlock]:
    """Of block 1: what normalizes samples, and the part of the file."""
    normalize, part = block.children()
    assert isinstance(part, OnnxBlock)
    return normalize, part


def _parts(network: MultiExitNetwork) -> dict[str, tuple[ModelProto, str, str]]:
    """The parts of a file in a network, as `joined` takes them."""
    parts = {"1": (_halves(network.blocks[0])[1].proto(), _NORMALIZED, _output(1))}
    for i, block in enumerate(network.blocks[1:], start=2):
        assert isinstance(block, OnnxBlock)
        parts[f"{i}"] = (block.proto(), _output(i - 1), _output(i))
    for end, branch in zip(network.ends, network.branches, strict=True):
        if isinstance(branch, OnnxBlock):
            parts["classifier"] = (branch.proto(), _output(end), _LOGITS)
    return parts


def _taken(network: MultiExitNetwork, samples: Tensor) -> dict[str, Tensor]:
    """What `_Around` takes, by name."""
    given = {_output(0): samples}
    x = samples
    with torch.inference_mode():
        for i, block in enumerate(network.blocks, start=1):
            x = block(x)
            if i in network.ends:
                branch = network.branch(i)
                own = isinstance(branch, OnnxBlock)
                given[_LOGITS if own else _output(i)] = branch(x).clone() if own else x.clone()
    return {name: tensor.detach() for name, tensor in given.items()}


def _output(block: int) -> str:
    return f"output-{block}"


def _probabilities(block: int) -> str:
    return f"probabilities-{block}"


def _score(block: int) -> str:
    return f"score-{block}"


def _cut(whole: ModelProto, first: int, outputs: Mapping[str, str]) -> bytes:
    piece = onnx.utils.Extractor(whole).extract_model([_output(first - 1)], [*outputs])
    # Wherever it is needed, the exporter takes the number of images from the network's own input.
    renamed = {_output(0): "x", _output(first - 1): "x", **outputs}
    for node in piece.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = renamed.get(name, name)
    for value in (*piece.graph.input, *piece.graph.output, *piece.graph.value_info):
        value.name = renamed.get(value.name, value.name)
    # What the exporter leaves here depends on the file system and the moment; the bytes go into checksums.
    for part in (
        piece,
        piece.graph,
        *piece.graph.node,
        *piece.graph.input,
        *piece.graph.output,
        *piece.graph.value_info,
    ):
        del part.metadata_props[:]
        part.doc_string = ""
    content: bytes = piece.SerializeToString(deterministic=True)
    return content


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """No warnings from that logger, nor from those under it: the exporter's are of packages that are not needed."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
