"""A discrete-event simulation of an object that crosses links in fragments."""

import heapq
from collections import deque
from functools import cache


@cache
def last_bit_s(bits: float, mtu_bits: float, rates: tuple[float, ...]) -> float:
    """When the last bit has crossed links of those bandwidths, in that order, without propagation.

    Every link has a queue and sends one fragment at a time; a fragment joins the next queue once it has arrived whole.
    """
    whole, rest = divmod(bits, mtu_bits)
    sizes = [mtu_bits] * int(whole) + [rest] * (rest > 0 or whole == 0)
    queues = [deque[float]() for _ in rates]
    queues[0].extend(sizes)
    sending = [False] * len(rates)
    events: list[tuple[float, int, float]] = []  # (when, link, size) of a fragment that will have crossed
    now_s = 0.0
    while True:
        for j, queue in enumerate(queues):
            if queue and not sending[j]:
                sending[j] = True
                size = queue.popleft()
                heapq.heappush(events, (now_s + size / rates[j], j, size))
        if not events:
            return now_s
        now_s, link, size = heapq.heappop(events)
        sending[link] = False
        if link + 1 < len(queues):
            queues[link + 1].append(size)
