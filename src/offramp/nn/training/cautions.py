"""What whoever trained a network should know before building on it."""

import numpy as np

from offramp.nn.training.run import Run


def cautions(run: Run) -> list[str]:
    """A sentence each; none where all is well."""
    given, last = run.setup.given_accuracy, run.accuracy[-1]
    counts = np.bincount(run.dataset.validation.labels, minlength=run.dataset.classes)
    share = float(counts.max() / counts.sum())
    said = []
    if given is not None and last < given:
        remedy = "train exits alone, which leaves it as it is, or learn more slowly"
        said.append(f"the last exit has {_percent(last)} right, and had {_percent(given)} as it was given: {remedy}")
    if last <= share:
        always = f"who always says {run.dataset.class_names[int(counts.argmax())]}, {_percent(share)}"
        remedy = "train longer, or balance the classes" if given is None else "see that weights, data and classes fit"
        said.append(f"the last exit has {_percent(last)} right, no more than {always}: {remedy}")
    return said


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
