"""The one-line text form of a plan."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.core.cautions import codec_cautions
from offramp.core.plan import Plan
from offramp.errors import InputError


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    ends = sorted(draw(st.sets(st.integers(1, 200), min_size=1, max_size=6)))
    name = st.text("abcxyz-_.0123456789", min_size=1, max_size=8)
    threshold = st.floats(0, 1) | st.sampled_from([0.0, 0.05, 0.4, 1.0])
    cuts = st.just([draw(threshold)] * (len(ends) - 1)) | st.lists(
        threshold, min_size=len(ends) - 1, max_size=len(ends) - 1
    )
    return Plan(tuple(ends), tuple(draw(name) for _ in ends), tuple(draw(cuts)))


@given(plan=plans())
def test_text_reads_back(plan: Plan) -> None:
    assert Plan.parse(str(plan)) == plan


@pytest.mark.parametrize(
    "text",
    [
        "1-3@smartwatch 4-9@smartphone 10@base-station T=0.40",
        "1-3@a 4@b 5-6@c T=0.40,0.25",
        "1-10@cloud",
        "1@x 2@y T=0.123456",
    ],
)
def test_text_is_stable(text: str) -> None:
    assert str(Plan.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no partition"),
        ("T=0.4", "names no partition"),
        ("1-3", "'1-3' is not a partition"),
        ("1-3@a 5@b T=0.4", "start it at block 4"),
        ("2-3@a", "start it at block 1"),
        ("3-1@a", "start it at block 1"),
        ("1@a 2@b", "has no threshold"),
        ("1@a 2@b T=high", "not a list of thresholds"),
        ("1@a 2@b T=1.5", r"outside \[0, 1\]"),
        ("1@a 2@b T=nan", r"outside \[0, 1\]"),
        ("1@a 2@b 3@c T=0.1,0.2,0.3", "give 2: one per partition but the last"),
    ],
)
def test_faults_name_the_place_and_the_remedy(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Plan.parse(text)


@pytest.mark.parametrize(
    ("text", "sent", "approximate"),
    [
        ("1-3@a 4-5@b T=0.4", (3,), False),
        ("1-3@a 4-5@b T=0.4 codec=int8", (3,), True),
        ("1-3@a 4-5@b T=0.4 codec=int8+zstd", (3,), True),
        ("1@a 2@b T=0.4 codec=fp16", (1,), False),  # the one activation between its blocks is encoded
        ("1@a 2@b 3@c T=0.4 codec=int8", (1, 2), False),
        ("1@a 2@a 3@b T=0.4 codec=int8", (2,), True),
        ("1-5@a codec=int8", (), True),
    ],
)
def test_accuracy_is_approximate_where_other_activations_were_encoded(
    text: str, sent: tuple[int, ...], approximate: bool
) -> None:
    plan = Plan.parse(text)
    assert (plan.sent_outputs, plan.accuracy_is_approximate) == (sent, approximate)
    assert bool(codec_cautions(plan)) == approximate
