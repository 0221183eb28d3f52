"""Labels are DNS labels, and tell apart what names tell apart."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from offramp.deploy.names import label

# RFC 1035, section 2.3.1, and 2.3.4 for the length.
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
NAMES = st.one_of(st.text(min_size=1), st.from_regex(r"[-a-zA-Z0-9._]{1,80}", fullmatch=True), st.from_regex(DNS_LABEL))


@given(NAMES)
@example("-")
@example("9")
@example("ß" * 100)
@example("a" * 64)
@example("localhost")
def test_a_label_is_one(name: str) -> None:
    assert DNS_LABEL.fullmatch(label(name))


@given(st.lists(NAMES, unique=True, max_size=8))
@example(["Edge", "edge", "edge-", "edge.", "édge"])
@example(["a" * 63, "a" * 64, "a" * 65])
def test_different_names_have_different_labels(names: list[str]) -> None:
    labels = {label(name) for name in names}
    assert len(labels) == len(names)
    # Also from names that are the labels of others.
    assert len({label(name) for name in {*names} | labels}) == len({*names} | labels)


def test_a_name_that_is_a_label_stays() -> None:
    for name in ("smartphone", "base-station", "pi4", "a", "a" * 63, "rack-x1"):
        assert label(name) == name


def test_a_label_tells_what_it_is_of() -> None:
    assert label("Base Station 2").startswith("base-station-2-x")
    assert label("10.0.0.1").startswith("tier-x")
