"""How published systems choose: each with its own space and its own objective.

The systems were built for other inputs, so each had to be fixed somewhere to choose at all; its docstring says where,
in its favor wherever there was a choice. All exits of a system share one threshold, of normalized entropy. What a paper
leaves to its operator serves the requirement.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from offramp.core.baselines.case import Case, Choice, Option, one_cut_s, parted, two_cuts_s
from offramp.core.constraints import UNCONSTRAINED
from offramp.core.estimate import Latency
from offramp.core.exits import Additive
from offramp.core.latency import Costs


@dataclass(frozen=True, slots=True)
class System:
    """A published system.

    name: as people call it.
    choose: what it chooses.
    fewest_tiers: on fewer it has no meaning.
    ignores: what its own model of latency or accuracy leaves out or gets wrong; empty where it has the full model.
    """

    name: str
    choose: Callable[[Case], Choice]
    fewest_tiers: int = 1
    ignores: str = ""


def device_only(case: Case) -> Choice:
    """The whole network on the device."""
    return Choice((case.blocks,), (0,), None)


def edge_only(case: Case) -> Choice:
    """The whole network on the tier between device and cloud that is fastest by the full model."""
    costs = case.planner.costs
    whole_s = costs.send_s[costs.source, :, 0] + costs.compute_s[:, 0, -1] + costs.send_s[:, costs.destination, -1]
    return Choice((case.blocks,), (1 + int(np.argmin(whole_s[1:-1])),), None)


def cloud_only(case: Case) -> Choice:
    """The whole network in the cloud."""
    return Choice((case.blocks,), (case.tiers[-1],), None)


def neurosurgeon(case: Case) -> Choice:
    """One cut between device and cloud, without exits, for the least latency.

    Kang et al., Neurosurgeon, ASPLOS 2017, algorithm 1: compute before the cut, its output over the bandwidth, compute
    after it. Layer times come from the profile rather than from regressions. Its model has no propagation latency and
    no way back for the result, and it has no notion of accuracy: the floor is not its concern.
    """
    latency = one_cut_s(
        case.transfer_costs,
        near=0,
        far=case.tiers[-1],
        last=case.blocks,
        stay=np.ones(case.blocks + 1),
        spared_s=case.branch_s[0],
    )
    return parted(int(np.argmin(latency)), case.blocks, near=0, far=case.tiers[-1], threshold=None)


def branchynet(case: Case) -> Choice:
    """Exits on one tier, the network neither cut nor truncated.

    Teerapittayanon et al., BranchyNet, ICPR 2016. The paper places one or two side branches by hand and screens
    thresholds by measuring; here every placement of up to two branches is tried, on every tier, and measuring is the
    full model. Offramp's plans have one exit per tier unless it is allowed more, so this row may beat it.
    """
    options = []
    for j in case.tiers:
        options += [_exit_at_cut(case, case.planner.costs, near=j, far=j), *_exits_at_cuts(case, (j, j, j))]
    return case.best(options)


def ddnn(case: Case) -> Choice:
    """Device, edge and cloud in that order, an exit at each.

    Teerapittayanon et al., DDNN, ICDCS 2017. The paper sections the network by hand and screens the threshold by
    measuring; here every pair of cuts is tried with every edge, and measuring is the full model. Every section has a
    block at least; where tiers or blocks don't make three sections, there are two or one. One device; the paper
    also joins several.
    """
    device, cloud = 0, case.tiers[-1]
    options = [option for edge in case.tiers[1:-1] for option in _exits_at_cuts(case, (device, edge, cloud))]
    if options:
        return case.best(options)
    if case.blocks == 1:
        return cloud_only(case)
    return _exit_at_cut(case, case.planner.costs, near=device, far=cloud, inner=True).choice


def edgent(case: Case) -> Choice:
    """One cut and one exit point, where the network is truncated for all samples.

    Li et al., Edge Intelligence: On-Demand Deep Learning Model Co-Inference with Device-Edge Synergy, MECOMM 2018,
    algorithm 1: the edge server runs the blocks before the cut and the device those after it; the deepest exit
    whose fastest cut keeps to the latency limit. Here the most accurate such exit, and with a floor on accuracy the
    fastest exit above it; a network wholly on the server is tried too. Layer times come from the profile rather than
    from regressions. Its model has no propagation latency and no way back for the result.
    """
    costs, device = case.transfer_costs, 0
    everyone = np.ones(case.blocks + 1)
    options = []
    for server in case.edge_servers:
        for last in range(1, case.blocks + 1):
            latency = one_cut_s(
                costs, near=server, far=device, last=last, stay=everyone, spared_s=case.branch_s[server]
            )
            cut = int(np.argmin(latency))
            choice = parted(cut, last, near=server, far=device, threshold=None)
            options.append(Option(float(latency[cut]), float(case.branch_accuracy[last]), choice))
    return case.best(options)


def pacheco_couto(case: Case) -> Choice:
    """A cut between an edge device and the cloud, with an exit, for the least expected time.

    Pacheco and Couto, Inference Time Optimization Using BranchyNet Partitioning, ISCC 2020: a shortest path, over one
    cut the least of N+1 sums. The paper takes the probability to exit as given, so the threshold is its operator's:
    for each threshold its cut, and of those the one that serves the requirement. Side branches before the cut are left
    out: of those on the edge device only the one at the cut is used. Its model has no propagation latency and no way
    back for the result.
    """
    costs, cloud = case.transfer_costs, case.tiers[-1]
    options = []
    for edge in case.edge_devices:
        latency = one_cut_s(costs, near=edge, far=cloud, last=case.blocks, stay=case.stay[:, 0])
        for level, cut in enumerate(np.argmin(latency, axis=1)):
            threshold = float(case.planner.exits.thresholds[level])
            choice = parted(int(cut), case.blocks, near=edge, far=cloud, threshold=threshold)
            options.append(Option(float(latency[level, cut]), float(case.accuracy[level, 0, cut]), choice))
    return case.best(options)


def adda(case: Case) -> Choice:
    """A cut between the end device and an edge server, with an exit; cut and threshold together.

    Wang et al., ADDA: Adaptive Distributed DNN Inference Acceleration in Edge Computing Environment, ICPADS 2019, as
    its abstract and EdgeSys'22 describe it: the path through the exits and the partition are optimized. One exit, at
    the cut. Its model has no propagation latency and no way back for the result.
    """
    return case.best(
        [_exit_at_cut(case, case.transfer_costs, near=0, far=server) for server in case.edge_servers],
    )


def spinn(case: Case) -> Choice:
    """A cut between device and cloud, with an exit; cut and threshold together, under the requirement.

    Laskaridis et al., SPINN, MobiCom 2020. Its exits sit at six fixed depths and go by top-1 confidence; here the one
    at the cut is used and goes by entropy. Its compression of what is sent is left out, as Offramp has none either. Its
    model has no propagation latency and no way back for the result.
    """
    return _exit_at_cut(case, case.transfer_costs, near=0, far=case.tiers[-1]).choice


def portend(case: Case) -> Choice:
    """Up to M partitions on tiers in increasing order, truncation allowed, one threshold, by marginal exit rates.

    Ebrahimi et al., PORTEND, ICPADS 2023. Its released planner tries every plan; the answer is the same, by Offramp's
    search with no way back between tiers. Exit rates and accuracy are PORTEND's own estimate, so its choice can
    miss a floor when judged. Two habits of the released planner are not the paper's and are left out: it lets the
    samples that reach the last used branch vanish unless it is the network's own, and it serializes the input even
    where the source runs the first partition.
    """
    assert isinstance(case.marginal, Additive)
    costs = case.planner.costs
    back = np.tri(len(case.tiers), k=-1, dtype=np.bool_)
    serialization = costs.serialization_s.copy()
    # A year is longer than any plan and, unlike infinity, leaves sums over shares finite. Shares are kept from
    # reaching one, or the way back would be free with no sample on it.
    serialization[back, 1:-1] = 3e19
    planner = replace(
        case.planner,
        exits=replace(case.marginal, exited=np.minimum(case.marginal.exited, 1 - 1e-12)),
        costs=replace(costs, serialization_s=serialization),
    )
    answer = planner.best(replace(case.requirement, latency=Latency.MEAN, constraints=UNCONSTRAINED))
    chosen = answer.best or answer.nearest
    assert chosen is not None
    plan = chosen.plan
    threshold = plan.thresholds[0] if plan.thresholds else None
    return Choice(plan.ends, tuple(map(planner.topology.index, plan.placement)), threshold)


def _exit_at_cut(case: Case, costs: Costs, *, near: int, far: int, inner: bool = False) -> Option:
    """The best cut, with its exit, and threshold for a system with those costs; at an end only if not `inner`."""
    latency = one_cut_s(costs, near=near, far=far, last=case.blocks, stay=case.stay[:, 0])
    accuracy = case.accuracy[:, 0]
    cuts = slice(1, -1) if inner else slice(None)
    found = case.pick(latency[:, cuts], accuracy[:, cuts])
    level, cut = np.unravel_index(found, latency[:, cuts].shape)
    cut += inner
    threshold = float(case.planner.exits.thresholds[level])
    choice = parted(int(cut), case.blocks, near=near, far=far, threshold=threshold)
    return Option(float(latency[level, cut]), float(accuracy[level, cut]), choice)


def _exits_at_cuts(case: Case, tiers: tuple[int, int, int]) -> list[Option]:
    """The best two cuts, with their exits, and threshold by the full model; none where there are not three blocks."""
    p, q = np.triu_indices(case.blocks - 1, 1)
    p, q = p + 1, q + 1
    if not len(p):
        return []
    latency, accuracy = two_cuts_s(case.planner.costs, tiers, case.stay, p, q), case.accuracy[:, p, q]
    level, pair = np.unravel_index(case.pick(latency, accuracy), latency.shape)
    choice = Choice((int(p[pair]), int(q[pair]), case.blocks), tiers, float(case.planner.exits.thresholds[level]))
    return [Option(float(latency[level, pair]), float(accuracy[level, pair]), choice)]


_TRANSFER = "propagation latency, the result's way"

SYSTEMS = (
    System("device-only", device_only),
    System("edge-only", edge_only, fewest_tiers=3),
    System("cloud-only", cloud_only, fewest_tiers=2),
    System("Neurosurgeon", neurosurgeon, fewest_tiers=2, ignores=_TRANSFER),
    System("BranchyNet", branchynet),
    System("DDNN", ddnn, fewest_tiers=2),
    System("Edgent", edgent, fewest_tiers=2, ignores=_TRANSFER),
    System("Pacheco-Couto", pacheco_couto, fewest_tiers=2, ignores=_TRANSFER),
    System("ADDA", adda, fewest_tiers=2, ignores=_TRANSFER),
    System("SPINN", spinn, fewest_tiers=2, ignores=_TRANSFER),
    System("PORTEND", portend, ignores="samples that have exited before"),
)
