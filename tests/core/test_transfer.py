"""Transfers across several links, against a discrete-event simulation of every fragment, and laws between them."""

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offramp.core.latency import propagation_s, transmission_s
from offramp.core.topology import Link, Tier, Topology

from .fragments import last_bit_s

RATES = st.sampled_from([0.5, 3.0, 10.0, 500.0]) | st.floats(0.01, 1000)


def line(rates: list[float], mtu_bits: float | None) -> Topology:
    tiers = tuple(Tier(f"t{j}", slowdown=1) for j in range(len(rates) + 1))
    return Topology("line", "t0", "t0", tiers, tuple(Link(rate, 0.25) for rate in rates), mtu_bits=mtu_bits)


@st.composite
def sizes(draw: st.DrawFn, mtu_bits: float) -> float:
    """Of any length, and around whole fragments."""
    whole = draw(st.integers(0, 40)) * mtu_bits
    return draw(st.sampled_from([whole, whole + mtu_bits / 3, max(whole - 1e-9, 0)]) | st.floats(0, 40 * mtu_bits))


@given(rates=st.lists(RATES, max_size=5), mtu_bits=st.sampled_from([1.0, 7.5, 72000.0]), data=st.data())
@example(rates=[500e3, 10e6, 500e6], mtu_bits=72000.0, data=None)
def test_pipelined_transfer_is_what_simulating_every_fragment_gives(
    rates: list[float], mtu_bits: float, data: st.DataObject | None
) -> None:
    bits = [320.0, 24576.0, 524288.0] if data is None else data.draw(st.lists(sizes(mtu_bits), min_size=1, max_size=3))
    found = transmission_s(line(rates, mtu_bits), np.array(bits))
    whole = transmission_s(line(rates, None), np.array(bits))
    assert (found <= whole).all()
    for a in range(len(rates) + 1):
        assert (found[a, a] == 0).all()
        for b in set(range(len(rates) + 1)) - {a}:
            crossed = tuple(rates[a:b] if a < b else rates[b:a][::-1])
            expected = [last_bit_s(size, mtu_bits, crossed) for size in bits]
            assert found[a, b] == pytest.approx(expected, rel=1e-9)
            for o, size in enumerate(bits):
                if len(crossed) == 1 or size <= mtu_bits:
                    assert found[a, b, o] == whole[a, b, o]


@given(rates=st.lists(RATES, min_size=2, max_size=5), mtu_bits=st.sampled_from([1.0, 7.5]), data=st.data())
def test_shorter_fragments_of_whole_size_are_never_slower(
    rates: list[float], mtu_bits: float, data: st.DataObject
) -> None:
    bits = np.array([data.draw(st.integers(1, 20)) * 2 * mtu_bits])
    halved = transmission_s(line(rates, mtu_bits), bits)
    assert (halved <= transmission_s(line(rates, 2 * mtu_bits), bits) * (1 + 1e-12)).all()


@given(rates=st.lists(RATES, min_size=1, max_size=5), bits=st.floats(0, 1e6))
def test_as_fragments_vanish_the_slowest_link_is_all_that_counts(rates: list[float], bits: float) -> None:
    found = transmission_s(line(rates, 1e-6), np.array([bits]))
    assert found[0, -1, 0] == pytest.approx(bits / min(rates), rel=1e-6, abs=1e-6 * sum(1 / rate for rate in rates))


def test_a_short_result_is_one_short_fragment() -> None:
    """40 bytes over the links of `mobile`, in fragments of 9000 bytes: a whole one would take 151 ms."""
    topology = line([500e3, 10e6, 500e6], 9000 * 8.0)
    found = transmission_s(topology, np.array([320.0]))[3, 0, 0]
    assert found == pytest.approx(320 / 500e3 + 320 / 10e6 + 320 / 500e6)


def test_propagation_is_apart_from_transmission() -> None:
    topology = line([1.0, 2.0], 8.0)
    faraway = dataclasses.replace(
        topology, links=tuple(dataclasses.replace(link, latency_s=9.0) for link in topology.links)
    )
    bits = np.array([100.0])
    assert np.array_equal(transmission_s(topology, bits), transmission_s(faraway, bits))
    assert propagation_s(faraway)[0, 2] == 18.0
