"""Numbers, requirements and proofs as people read them, in the terminal and in reports alike."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offramp.core.certify import Certificate
    from offramp.core.energy import Energy
    from offramp.core.estimate import Estimate
    from offramp.core.metrics import Quality
    from offramp.core.requirement import Requirement
    from offramp.core.search_result import Gap


def seconds(value: float) -> str:
    """A time as people read it: `299.9 ms`."""
    return _si(value, "s")


def joules(value: float) -> str:
    """An energy as people read it: `6.381 mJ`."""
    return _si(value, "J")


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


def cost_name(requirement: Requirement) -> str:
    """What to call what is to be least: `latency`, `p95 latency`, `energy`."""
    return "energy" if requirement.minimize.value == "energy" else latency_name(requirement)


def cost_words(requirement: Requirement, predicted: Estimate) -> str:
    """What is to be least, of a plan with that estimate: `299.9 ms`, `6.381 mJ`."""
    write = joules if requirement.minimize.value == "energy" else seconds
    return write(requirement.cost(predicted))


def energy_words(energy: Energy) -> str:
    """What an answer takes, by tier and term: `energy 8 mJ = watch 6 mJ (compute 5 mJ + radio 1 mJ) + phone ...`."""
    parts = []
    for name, tier in energy.tiers.items():
        terms = {term.name.removesuffix("_j"): getattr(tier, term.name) for term in fields(tier)}
        listed = " + ".join(f"{term} {joules(value)}" for term, value in terms.items() if value)
        if listed:
            parts.append(f"{name} {joules(tier.total_j)} ({listed})")
    return f"energy {joules(energy.total_j)}{' = ' if parts else ''}{' + '.join(parts)}"


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
    if requirement.minimize.value == "energy":
        return f"plan of least energy with {requirement_words(requirement)}"
    aim = "fastest" if requirement.wants_least else "most accurate"
    return f"{aim} plan with {requirement_words(requirement)}"


def headline(requirement: Requirement, *, met: bool, certificate: Certificate | None = None) -> str:
    """What the plan is: `The fastest plan with accuracy of at least 92.00 %`; `No plan has ...` where there is none."""
    if certificate is not None and certificate.plan is None:
        return f"Not guaranteed on new samples: the {goal_words(requirement)}"
    if certificate is not None:
        return f"The certified {goal_words(requirement)}"
    if met:
        return f"The {goal_words(requirement)}"
    under = " under the constraints" if requirement.constraints.stated else ""
    return f"No plan has {requirement_words(requirement)}{under}"


def price_words(requirement: Requirement, certified: Estimate, best_seen: Estimate) -> str:
    """What a certified plan costs: `0.80 % slower than the best seen`, or so many points less accurate."""
    if requirement.minimize.value == "energy":
        share = requirement.cost(certified) / requirement.cost(best_seen) - 1 if requirement.cost(best_seen) else 0.0
        return f"{100 * abs(share):.2f} % {'costlier' if share >= 0 else 'thriftier'} in energy than the best seen"
    if requirement.wants_least:
        taken_s, least_s = requirement.latency.of(certified), requirement.latency.of(best_seen)
        if taken_s == least_s:
            return "as fast as the best seen"
        share = taken_s / least_s - 1
        return f"{100 * abs(share):.2f} % {'slower' if share >= 0 else 'faster'} than the best seen"
    points = 100 * (best_seen.accuracy - certified.accuracy)
    return f"{abs(points):.2f} points {'less' if points >= 0 else 'more'} accurate than the best seen"


def guarantee_words(requirement: Requirement, certificate: Certificate) -> str:
    """What holds on new samples: `accuracy of at least 80.00 %, latency of at most 71.5 ms (confidence 0.95)`."""
    if (guaranteed := certificate.guaranteed) is None:
        return "nothing"
    return (
        f"accuracy of at least {percent(guaranteed.accuracy)}, {latency_name(requirement)} of at most "
        f"{seconds(guaranteed.latency_s)} (confidence {certificate.confidence:g} each)"
    )


def proof_sentences(
    requirement: Requirement,
    *,
    met: bool,
    plans: int,
    search_s: float,
    gap: Gap | None,
    certificate: Certificate | None,
    price: str = "",
) -> list[str]:
    """How sure the answer of a search is, in sentences.

    plans: how many it is proven among.
    price: what a certified plan costs beside the best seen, in words.
    """
    took = seconds(search_s)
    sentences = [] if certificate is None else list(_certificate_sentences(requirement, certificate, price))
    if gap is not None:
        least = f"is faster than {seconds(gap.latency_s)}"
        if gap.energy_j is not None:
            least = f"is thriftier than {joules(gap.energy_j)}"
        return [
            *sentences,
            f"The search ended early, after {took}: the best so far. Of the plans not looked at none "
            f"{least} or more accurate than {percent(gap.accuracy)}.",
        ]
    if certificate is not None and certificate.plan is not None:
        return [*sentences, f"The best seen is optimal among {plans:,} plans, in {took}."]
    return [*sentences, f"{'Optimal' if met else 'Proven'} among {plans:,} plans, in {took}."]


def _certificate_sentences(requirement: Requirement, certificate: Certificate, price: str) -> Iterator[str]:
    samples = f"{certificate.certifying_samples:,} samples that had no say in choosing it"
    if (held_back := certificate.held_back) is not None:
        yield (
            f"On {samples}: {percent(held_back.accuracy)}, {seconds(requirement.latency.of(held_back))}. "
            f"It is {price}; {certificate.tested} of {certificate.candidates} candidates were tested."
        )
    elif certificate.samples_needed is not None:
        yield (
            f"{certificate.choosing_samples + certificate.certifying_samples:,} samples are too few to guarantee it "
            f"with confidence {certificate.confidence:g}; about {certificate.samples_needed:,} would do."
        )
    else:
        yield (
            f"It can't be guaranteed with confidence {certificate.confidence:g}: no plan has enough to spare, however "
            "many samples there were; lower the floor or raise the limit."
        )


def _si(value: float, unit: str) -> str:
    from quantiphy import Quantity

    return str(Quantity(value, unit).render(prec=3))
