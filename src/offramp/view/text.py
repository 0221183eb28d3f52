"""Numbers, requirements and proofs as people read them, in the terminal and in reports alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offramp.core.certify import Certificate
    from offramp.core.metrics import Quality
    from offramp.core.planner import Gap
    from offramp.core.requirement import Requirement


def seconds(value: float) -> str:
    """A time as people read it: `299.9 ms`."""
    return _si(value, "s")


def bits(value: float) -> str:
    """A size as people read it: `524.3 kb`."""
    return _si(value, "b")


def rate(value: float) -> str:
    """A bandwidth as people read it: `10 Mb/s`."""
    return _si(value, "b/s")


def percent(value: float) -> str:
    """A share as people read it: `93.42 %`."""
    return f"{100 * value:.2f} %"


def quality_words(quality: Quality) -> str:
    """What is right beyond accuracy, in one line: `balanced accuracy 71.00 %   recall 20.00 % (class 2) to 99.00 %`."""
    least, most = int(quality.recall.argmin()), int(quality.recall.argmax())
    parts = [f"balanced accuracy {percent(quality.balanced_accuracy)}"]
    parts.append(f"recall {percent(quality.recall[least])} (class {quality.classes[least]}) to ")
    parts[-1] += f"{percent(quality.recall[most])} (class {quality.classes[most]})"
    if quality.macro_f1 is not None:
        parts.append(f"macro F1 {percent(quality.macro_f1)}")
    if quality.calibration_error is not None:
        parts.append(f"calibration error {percent(quality.calibration_error)}")
    return "   ".join(parts)


def latency_name(requirement: Requirement) -> str:
    """What to call the latency that is meant: `latency`, `p95 latency`."""
    return "latency" if requirement.latency.value == 0 else f"{requirement.latency.name.lower()} latency"


def requirement_words(requirement: Requirement) -> str:
    """What is asked, in words: `accuracy of at least 92.00 % and latency of at most 300 ms`."""
    asked = []
    if requirement.min_accuracy is not None:
        asked.append(f"accuracy of at least {percent(requirement.min_accuracy)}")
    limits = requirement.constraints
    if limits.min_balanced_accuracy is not None:
        asked.append(f"balanced accuracy of at least {percent(limits.min_balanced_accuracy)}")
    if limits.min_class_recall is not None:
        asked.append(f"recall of every class of at least {percent(limits.min_class_recall)}")
    if requirement.max_latency_s is not None:
        asked.append(f"{latency_name(requirement)} of at most {seconds(requirement.max_latency_s)}")
    return " and ".join(asked)


def goal_words(requirement: Requirement) -> str:
    """The plan that is wanted, in words: `fastest plan with accuracy of at least 92.00 %`."""
    aim = "fastest" if requirement.wants_least else "most accurate"
    return f"{aim} plan with {requirement_words(requirement)}"


def headline(requirement: Requirement, *, met: bool) -> str:
    """What the plan is: `The fastest plan with accuracy of at least 92.00 %`; `No plan has ...` where there is none."""
    if met:
        return f"The {goal_words(requirement)}"
    under = " under the constraints" if requirement.constraints.stated else ""
    return f"No plan has {requirement_words(requirement)}{under}"


def proof_sentences(
    *, met: bool, plans: int, search_s: float, gap: Gap | None, certificate: Certificate | None
) -> list[str]:
    """How sure the answer of a search is, in sentences.

    plans: how many it is proven among.
    """
    sentences = []
    took = seconds(search_s)
    if certificate is not None:
        held_back = f"{certificate.certifying_samples} held-back samples"
        sentences.append(
            f"On {held_back}: {percent(certificate.checked.accuracy)}; on new ones at least "
            f"{percent(certificate.bound)} with confidence {certificate.confidence:g}."
        )
        if certificate.floor is not None:
            return [
                *sentences,
                f"The fastest of {certificate.tested} plans whose floor was tested on {held_back}, "
                "the most accurate first.",
            ]
    if gap is not None:
        return [
            *sentences,
            f"The search ended early, after {took}: the best so far. Of the plans not looked at none is "
            f"faster than {seconds(gap.latency_s)} or more accurate than {percent(gap.accuracy)}.",
        ]
    return [*sentences, f"{'Optimal' if met else 'Proven'} among {plans:,} plans, in {took}."]


def _si(value: float, unit: str) -> str:
    from quantiphy import Quantity

    return str(Quantity(value, unit).render(prec=3))
