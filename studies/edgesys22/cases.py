"""The four cases of EdgeSys'22, section 3.3, asked of a profile of your own.

    python -m studies.edgesys22.cases [PROFILE]

Each case is a question, and an effect that the paper saw in its answer. Where the profile answers without the effect,
the case looks for it: it makes the devices of the whole topology faster or slower, or the links, in steps of the square
root of two, and shows the nearest change under which the effect is there. Case by case the paper's own answers are
printed beside ours; they differ because the paper's input, devices and trained network do.
"""

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from offramp import EstimatedPlan, Planner, Profile, Requirement, Topology, read_profile, read_topology


@dataclass(frozen=True, slots=True)
class Case:
    """A question to the planner.

    number, paper: the case's, and the answer in the paper.
    ask: the plans that answer it on a topology, or None where nothing meets the requirement.
    effect: whether those plans show what the paper's answer showed.
    """

    number: str
    title: str
    paper: str
    topology: str
    ask: Callable[[Planner], tuple[EstimatedPlan, ...] | None]
    effect: Callable[[Planner, tuple[EstimatedPlan, ...]], bool]


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer, and what had to be changed to get it: 1 for nothing."""

    devices: float
    links: float
    plans: tuple[EstimatedPlan, ...]


def answer(case: Case, profile: Profile) -> tuple[EstimatedPlan, ...] | None:
    """The case's plans on its topology as it is."""
    return case.ask(Planner.of(profile, read_topology(case.topology), compiled=True))


def demonstrate(case: Case, profile: Profile) -> Finding | None:
    """The case's effect under the nearest change of devices and links; None where no change within 1000 x shows it."""
    planner = Planner.of(profile, read_topology(case.topology), compiled=True)
    for devices, links in nearest_changes():
        changed = planner.on(scaled(planner.topology, devices=devices, links=links))
        plans = case.ask(changed)
        if plans is not None and case.effect(changed, plans):
            return Finding(devices, links, plans)
    return None


def nearest_changes() -> Iterator[tuple[float, float]]:
    """Factors on all slowdowns and on all bandwidths, by distance from no change at all."""
    steps = range(-20, 21)
    for down, up in sorted(itertools.product(steps, steps), key=lambda pair: (abs(pair[0]) + abs(pair[1]), pair)):
        yield 2 ** (down / 2), 2 ** (up / 2)


def scaled(topology: Topology, *, devices: float, links: float) -> Topology:
    """All slowdowns and all bandwidths times a factor."""
    return dataclasses.replace(
        topology,
        tiers=tuple(dataclasses.replace(tier, slowdown=tier.slowdown * devices) for tier in topology.tiers),
        links=tuple(
            dataclasses.replace(link, bandwidth_bits_per_s=link.bandwidth_bits_per_s * links) for link in topology.links
        ),
    )


def fastest(planner: Planner, *, points_below_best: float) -> tuple[EstimatedPlan, ...] | None:
    """P_lat: the fastest plan within so many points of the best reachable accuracy."""
    best = planner.frontier()[-1].estimate.accuracy
    found = planner.best(Requirement(min_accuracy=best - points_below_best / 100)).best
    return None if found is None else (found,)


def most_accurate(planner: Planner, *, limit_s: float) -> tuple[EstimatedPlan, ...] | None:
    """P_acc: the most accurate plan within a limit on mean latency."""
    found = planner.best(Requirement(max_latency_s=limit_s)).best
    return None if found is None else (found,)


def fastest_for_both_ends(planner: Planner, *, points_below_best: float) -> tuple[EstimatedPlan, ...] | None:
    """P_lat with the answers wanted on the first tier, and on the last."""
    tiers = planner.topology.tiers
    plans = []
    for destination in (tiers[0].name, tiers[-1].name):
        there = planner.on(dataclasses.replace(planner.topology, destination=destination))
        plans += fastest(there, points_below_best=points_below_best) or ()
    return tuple(plans)


def is_trimmed(planner: Planner, plans: tuple[EstimatedPlan, ...]) -> bool:
    """The last blocks are left out."""
    return plans[0].plan.ends[-1] < len(planner.backbone.blocks)


def has_three_exits_in_use(planner: Planner, plans: tuple[EstimatedPlan, ...]) -> bool:
    """At least three exits, each taken by one sample in a hundred or more."""
    return sum(rate >= 0.01 for rate in plans[0].estimate.exit_rates) >= 3


def goes_back(planner: Planner, plans: tuple[EstimatedPlan, ...]) -> bool:
    """Some partition runs nearer the device than the one before it."""
    tiers = [planner.topology.index(name) for name in plans[0].plan.placement]
    return any(after < before for before, after in itertools.pairwise(tiers))


def placements_differ(planner: Planner, plans: tuple[EstimatedPlan, ...]) -> bool:
    """Both destinations are answered, by different tiers."""
    return len(plans) == 2 and plans[0].plan.placement != plans[1].plan.placement


CASES = (
    Case(
        number="I",
        title="Trimming: the fastest plan within a point of the best accuracy, mobile",
        paper="P=[6], 3309 ms, 92.32 %",
        topology="mobile",
        ask=lambda planner: fastest(planner, points_below_best=1),
        effect=is_trimmed,
    ),
    Case(
        number="II",
        title="Several exits: the most accurate plan within 300 ms, mobile",
        paper="P=[3,9,10], 299.9 ms, 74.4 %",
        topology="mobile",
        ask=lambda planner: most_accurate(planner, limit_s=0.3),
        effect=has_three_exits_in_use,
    ),
    Case(
        number="III",
        title="Not consecutive: the most accurate plan within 80 ms, iot",
        paper="A=[3,2]: from the third tier back to the second",
        topology="iot",
        ask=lambda planner: most_accurate(planner, limit_s=0.08),
        effect=goes_back,
    ),
    Case(
        number="IV",
        title="The destination: the fastest plan within a point, iot, answers for the first tier and for the last",
        paper="A=[2,3] for the first tier, A=[2,4] for the last",
        topology="iot",
        ask=lambda planner: fastest_for_both_ends(planner, points_below_best=1),
        effect=placements_differ,
    ),
)


def show(plans: tuple[EstimatedPlan, ...] | None) -> None:
    """Print plans, one a line."""
    for each in plans or ():
        predicted = each.estimate
        print(f"    {each.plan}  {1e3 * predicted.latency_s:.4g} ms  {100 * predicted.accuracy:.2f} %")
    if not plans:
        print("    no plan is fast enough")


def main() -> None:
    """Ask the four questions of the profile named on the command line."""
    profile = read_profile(sys.argv[1] if len(sys.argv) > 1 else "resnet20-cifar10")
    for case in CASES:
        network = f"{profile.backbone.name} on {profile.backbone.dataset}"
        print(f"{case.number}. {case.title}\n  the paper: {case.paper}\n  {network}:")
        show(answer(case, profile))
        found = demonstrate(case, profile)
        if found is None:
            print("  the paper's effect is not there, whatever the speed of devices and links")
        elif (found.devices, found.links) == (1, 1):
            print("  the paper's effect is there")
        else:
            print(
                f"  the paper's effect is there with slowdowns x {found.devices:.3g}, bandwidths x {found.links:.3g}:"
            )
            show(found.plans)
        print()


if __name__ == "__main__":
    main()
