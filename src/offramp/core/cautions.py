"""What to know before believing an accuracy, or times."""

from collections.abc import Mapping

from offramp.core.exit_table import ExitTable
from offramp.core.metrics import Quality, quality_of_exit
from offramp.core.plan import Plan
from offramp.core.requirement import CONFIDENCE
from offramp.core.timing import Timing

# Where the bound is farther below the accuracy than this, the samples are few. From so many samples on it never is.
_FAR = 0.05
_MANY_SAMPLES = 400
_NAMED = 5
# A block by itself may take a little longer than within a partition, whose operations are fused.
_TIMES_SLOWER, _SECONDS_SLOWER = 2, 0.001


def cautions(quality: Quality, who: str) -> list[str]:
    """A sentence each; none where all is well.

    who: what gave the answers: `the plan`, `exit 3`.
    """
    said = []
    share = quality.majority_share
    if quality.accuracy <= share:
        always = f"always answering class {quality.classes[quality.count.argmax()]} has {_percent(share)}"
        remedy = "ask for balanced accuracy or the recall of the worst class, or balance the classes"
        said.append(f"{who} has {_percent(quality.accuracy)} right, and {always}: {remedy}")
    low = [
        f"{recall:.0%} of the {count} of class {label}"
        for label, count, recall in zip(quality.classes, quality.count, quality.recall, strict=True)
        if recall < 0.5
    ]
    if low:
        others = f", and less than half of {len(low) - _NAMED} more classes" if len(low) > _NAMED else ""
        said.append(f"{who} has right only {', '.join(low[:_NAMED])}{others}")
    if quality.samples < _MANY_SAMPLES:
        from offramp.core.bounds import lower_bound  # needs scipy, which takes a moment

        right = round(quality.accuracy * quality.samples)
        bound = lower_bound(right, quality.samples, confidence=CONFIDENCE)
        if quality.accuracy - bound > _FAR:
            said.append(
                f"{quality.samples} samples: that {who} has {right} of {quality.samples} right only shows at least "
                f"{100 * bound:.1f} % (confidence {CONFIDENCE:g})"
            )
    return said


def codec_cautions(plan: Plan) -> list[str]:
    """A sentence where the exit table is not of what the plan does to its activations."""
    if not plan.accuracy_is_approximate:
        return []
    sent, between = len(plan.sent_outputs), plan.ends[-1] - 1
    table = f"the exit table in {plan.codec.value} has {between} activations encoded, the plan {sent} of them"
    return [f"the accuracy is approximate: {table}; `offramp build` measures the plan's own"]


def table_cautions(table: ExitTable) -> list[str]:
    """The cautions of the last exit, and which of the others have no more right than the most frequent class."""
    *inner, last = (quality_of_exit(table, branch) for branch in range(1, table.blocks + 1))
    said = cautions(last, "the last exit")
    useless = [str(number) for number, exit_ in enumerate(inner, start=1) if exit_.accuracy <= exit_.majority_share]
    if useless:
        always = f"always answering class {last.classes[last.count.argmax()]}, {_percent(last.majority_share)}"
        said.append(f"of the exits before it, no more right than {always}: {', '.join(useless)}")
    return said


def timing_cautions(timings: Mapping[str, Timing]) -> list[str]:
    """On which devices something else must have run while they were timed: a block took longer than more of them did.

    timings: by device.
    """
    said = []
    for device, timing in timings.items():
        if timing.block_s is None or timing.partition_s is None:
            continue
        slower = 0
        for i, block in enumerate(timing.block_s):
            with_it = timing.partition_s[: i + 1, i:].min()
            slower += bool(block > _TIMES_SLOWER * with_it and block - with_it > _SECONDS_SLOWER)
        if slower:
            problem = f"on {device}, {slower} of {timing.blocks} blocks took longer than partitions that they are in"
            said.append(f"{problem}: something else ran meanwhile; time again while nothing does")
    return said


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
