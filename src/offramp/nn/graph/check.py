"""Whether the parts of a module, one after the other, compute what it computes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offramp.errors import fail
from offramp.nn.graph.operations import where
from offramp.nn.graph.outputs import logits_of
from offramp.nn.graph.trace import Trace
from offramp.nn.graph.undo import redone, refuse_probabilities
from offramp.nn.network import Shape

# How far two ways to compute the same are apart, of numbers about one.
_ROUNDING = 1e-5

REMEDY = "take another backbone, or write its blocks down as an offramp.nn.network.Spec"


def check_parts(
    module: nn.Module,
    traced: Trace,
    ends: Sequence[int],
    parts: Sequence[nn.Module],
    classifier: nn.Module,
    x: Tensor,
) -> None:
    """Refuse parts that, one after the other, compute other numbers than the module of samples `x`."""
    with torch.inference_mode():
        expected = logits_of(module.eval()(x.clone()), len(x))
        if traced.undone is None:
            refuse_probabilities(expected)
        if bool(expected.isnan().any()):
            fail("backbone", "returns numbers that are none (NaN), for random samples", "see that it takes any numbers")
        for end, part in zip((*ends, len(traced.nodes) - 1), (*parts, classifier), strict=True):
            before = x.clone()
            y = part.eval()(x)
            if not torch.allclose(x, before, rtol=0, atol=0, equal_nan=True):
                fail("backbone", f"what leads to {where(traced.nodes[end])} changes its input", REMEDY)
            x = y
    answer = redone(x, traced.undone)
    apart = float((answer - expected).abs().max())
    near = not traced.exact and apart <= _ROUNDING * max(1.0, float(expected.abs().max()))
    if not near and not torch.equal(answer, expected):
        problem = f"its parts compute other numbers than the whole: {apart:g} apart"
        fail("backbone", problem, "see that it gives the same answer to the same images twice; " + REMEDY)


def samples_like(shape: Shape, kind: torch.dtype) -> Tensor:
    """[3, ...] random ones; whole numbers are zeros and ones, which every vocabulary has."""
    generator = torch.Generator().manual_seed(0)
    if kind.is_floating_point:
        return torch.randn(3, *shape, generator=generator, dtype=kind)
    return torch.randint(0, 2, (3, *shape), generator=generator, dtype=kind)
