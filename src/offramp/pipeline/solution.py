"""What planning came to: the plan, and all that speaks for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offramp.core.cautions import cautions, codec_cautions
from offramp.core.estimate import Estimate, EstimatedPlan
from offramp.core.metrics import Quality
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.relaxation import Relaxation
from offramp.core.requirement import Requirement
from offramp.core.search_result import Gap
from offramp.core.spread import spread_s
from offramp.core.topology import Topology
from offramp.errors import fail
from offramp.files import write_plan
from offramp.pipeline.estimate import plan_and_estimate, quality_document, quality_of
from offramp.view.drawing import plotted
from offramp.view.frontier import FrontierPicture
from offramp.view.html import page, picture, table
from offramp.view.placement import Placement
from offramp.view.text import cost_words, guarantee_words, headline, percent, price_words, proof_sentences, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from offramp.core.certify import Certificate, Guarantee


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Solution:
    """What planning came to.

    profile: what was planned with.
    planner: of the codec that the plan travels in.
    requirement: what was asked, or stands in where nothing was.
    estimated: the best plan with its estimate; where none meets the requirement, the one that comes nearest.
    met: whether it is what was asked for; of a plan that was to be certified, on new samples.
    best_seen: the best by all samples at hand: another plan where keeping to it on new samples has its price.
    frontier: plans that no other beats in both accuracy and latency, fastest first; empty where it was not wanted.
    relaxations: what could be given up where no plan meets it all.
    certificate: what held-back samples say of the plan, where it was to be certified.
    gap: what is proven of the plans not looked at, where the search was ended early.
    search_s: how long the search took.
    plan_count: how many plans it is proven among.
    """

    profile: Profile
    planner: Planner
    requirement: Requirement
    estimated: EstimatedPlan
    met: bool
    best_seen: EstimatedPlan
    frontier: tuple[EstimatedPlan, ...]
    relaxations: tuple[Relaxation, ...]
    certificate: Certificate | None
    gap: Gap | None
    search_s: float
    plan_count: int

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.estimated.plan

    @property
    def estimate(self) -> Estimate:
        """What the plan would achieve."""
        return self.estimated.estimate

    @property
    def topology(self) -> Topology:
        """What was planned on."""
        return self.planner.topology

    @property
    def latency_s(self) -> float:
        """The latency that the requirement means, of the plan."""
        return self.requirement.latency.of(self.estimate)

    @property
    def guaranteed(self) -> Guarantee | None:
        """What the plan keeps to on new samples; None where it was not certified."""
        return None if self.certificate is None else self.certificate.guaranteed

    @property
    def spread_s(self) -> float | None:
        """Standard deviation of the plan's mean latency from run to run; None where it is not known."""
        return spread_s(self.estimated, profile=self.profile, topology=self.topology)

    @property
    def quality(self) -> Quality | None:
        """What the plan has right class by class; None where the exit model has no samples."""
        return quality_of(self.planner, self.plan)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before believing the accuracy, in sentences."""
        quality = self.quality
        return () if quality is None else (*codec_cautions(self.plan), *cautions(quality, "the plan"))

    @property
    def headline(self) -> str:
        """What the plan is: `The fastest plan with accuracy of at least 92.00 %`, or that no plan has it."""
        return headline(self.requirement, met=self.met, certificate=self.certificate)

    @property
    def guarantee(self) -> str:
        """What holds on new samples, in a sentence; empty where the plan was not to be certified."""
        if self.certificate is None:
            return ""
        return f"Guaranteed on new samples: {guarantee_words(self.requirement, self.certificate)}."

    @property
    def proof(self) -> tuple[str, ...]:
        """How sure that is, in sentences."""
        return tuple(
            proof_sentences(
                self.requirement,
                met=self.met,
                plans=self.plan_count,
                search_s=self.search_s,
                gap=self.gap,
                certificate=self.certificate,
                price=price_words(self.requirement, self.estimate, self.best_seen.estimate),
            )
        )

    @property
    def relaxation_sentences(self) -> tuple[str, ...]:
        """What could be given up, and the plan then, a sentence each; empty where a plan meets it all."""
        return tuple(
            f"Give up {' and '.join(name.replace('_', ' ') for name in relaxation.given_up)}: "
            f"{percent(relaxation.plan.estimate.accuracy)}, "
            f"{cost_words(self.requirement, relaxation.plan.estimate)}  {relaxation.plan.plan}"
            for relaxation in self.relaxations
        )

    @property
    def picture(self) -> FrontierPicture:
        """The frontier as a picture's record, the plan marked on it. Raises `InputError` where there is none."""
        if not self.frontier:
            fail("frontier", "is empty: none was searched for, or no plan is allowed", "solve with frontier=True")
        return FrontierPicture.of(
            self.frontier, self.estimated, self.requirement, topology=self.topology, plan_count=self.plan_count
        )

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The frontier by column, one entry per plan: for `pandas.DataFrame`, polars, or `numpy.savez`."""
        terms = ("accuracy", "latency_s", "compute_s", "propagation_s", "transmission_s", "serialization_s")
        estimates = [plan.estimate for plan in self.frontier]
        columns: dict[str, NDArray[np.generic]] = {
            "plan": np.array([str(plan.plan) for plan in self.frontier], np.str_)
        }
        columns |= {term: np.array([getattr(estimate, term) for estimate in estimates]) for term in terms}
        energies = [estimate.energy.total_j for estimate in estimates if estimate.energy is not None]
        if len(energies) == len(estimates):
            columns["energy_j"] = np.array(energies)
        if all(min(estimate.exit_rates) >= 0 for estimate in estimates):
            columns |= {f"p{q}_s": np.array([estimate.percentile_s(q) for estimate in estimates]) for q in (50, 95, 99)}
        return columns

    def document(self) -> dict[str, Any]:
        """The solution as JSON, as `offramp plan --json` prints it; `read_plan` reads the plan back."""
        latency, gap, quality = self.requirement.latency, self.gap, self.quality
        return {
            **plan_and_estimate(self.estimated, self.spread_s),
            **self._guaranteed_document(),
            **({} if quality is None else {"quality": quality_document(quality)}),
            "warnings": list(self.warnings),
            "frontier": [
                {
                    "text": str(member.plan),
                    "accuracy": member.estimate.accuracy,
                    "latency_s": latency.of(member.estimate),
                    **({} if member.estimate.energy is None else {"energy_j": member.estimate.energy.total_j}),
                }
                for member in self.frontier
            ],
            "search": {
                "plans": self.plan_count,
                "seconds": self.search_s,
                "score": self.profile.score.name.value,
                "optimal": self.estimated == self.best_seen and gap is None,
                "gap": None
                if gap is None
                else {name: bound for name, bound in asdict(gap).items() if bound is not None},
                "minimize": self.requirement.minimize.value,
                "min_accuracy": self.requirement.min_accuracy,
                "min_balanced_accuracy": self.requirement.constraints.min_balanced_accuracy,
                "min_class_recall": self.requirement.constraints.min_class_recall,
                "max_latency_s": self.requirement.max_latency_s,
                "max_energy_j": dict(self.requirement.constraints.max_energy_j),
                "max_total_energy_j": self.requirement.constraints.max_total_energy_j,
                "latency": latency.name.lower(),
                "meets": self.met,
                "relaxations": [
                    {"give_up": list(relaxation.given_up), **plan_and_estimate(relaxation.plan)}
                    for relaxation in self.relaxations
                ],
            },
        }

    def _guaranteed_document(self) -> dict[str, Any]:
        certificate = self.certificate
        if certificate is None:
            return {}
        guaranteed, held_back = certificate.guaranteed, certificate.held_back
        return {
            "guaranteed": {
                "accuracy": None if guaranteed is None else guaranteed.accuracy,
                "latency_s": None if guaranteed is None else guaranteed.latency_s,
                "latency": self.requirement.latency.name.lower(),
                "confidence": certificate.confidence,
                "held_back_accuracy": None if held_back is None else held_back.accuracy,
                "held_back_latency_s": None if held_back is None else self.requirement.latency.of(held_back),
                "choosing_samples": certificate.choosing_samples,
                "held_back_samples": certificate.certifying_samples,
                "candidates": certificate.candidates,
                "plans_tested": certificate.tested,
                "samples_needed": certificate.samples_needed,
                "best_seen": plan_and_estimate(self.best_seen),
            }
        }

    def write(self, path: str | Path) -> None:
        """Write the solution's document into a JSON file. Raises `InputError` where it can't be written."""
        write_plan(self.document(), path)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the frontier, the plan marked on it, on `ax`; on a figure of its own where none is given."""
        return plotted(self.picture, ax)

    def __repr__(self) -> str:
        figures = f"{percent(self.estimate.accuracy)}, {seconds(self.latency_s)}"
        return f"Solution({'met' if self.met else 'NOT MET'}: {self.plan}: {figures})"

    def _repr_html_(self) -> str:
        rows = [(seconds(self.latency_s), percent(self.estimate.accuracy), str(self.plan))]
        return page(
            f"{self.headline}.",
            table(("latency", "accuracy", "plan"), rows),
            self.guarantee,
            picture(Placement.of(self.topology, self.estimated), name="placement"),
            picture(self.picture, name="frontier") if self.frontier else "",
            *self.relaxation_sentences,
            *self.proof,
        )
