"""How many plans there are."""

import math


def space_size(*, blocks: int, tiers: int, thresholds: int, exits_per_tier: int = 1, per_exit: bool = False) -> int:
    """How many plans (T, P, A) there are without constraints.

    With one threshold and one exit per tier K times the sum over L of C(N, L) M! / (M-L)!, as EdgeSys'22 counts them.
    A plan of L partitions on V tiers in a row has as many ways to share them out as there are compositions of L into
    V parts of at most `exits_per_tier`; with a threshold per exit it counts K^(L-1) times instead of K.
    """
    total = 0
    for parts in range(1, min(blocks, tiers * exits_per_tier) + 1):
        placements = sum(
            math.perm(tiers, visited) * _compositions(parts, visited, exits_per_tier)
            for visited in range(1, min(parts, tiers) + 1)
        )
        total += math.comb(blocks, parts) * placements * thresholds ** (parts - 1 if per_exit else 1)
    return total


def _compositions(total: int, parts: int, most: int) -> int:
    """In how many ways `total` is a sum of `parts` numbers from 1 to `most` in a row."""
    return sum(
        (-1) ** k * math.comb(parts, k) * math.comb(total - k * most - 1, parts - 1)
        for k in range(parts + 1)
        if total - k * most >= parts
    )
