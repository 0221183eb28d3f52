"""What a notebook shows of the core's values, and the columns that other libraries read."""

import io
from html.parser import HTMLParser

import numpy as np
import pytest

from offramp.core.backbone import Backbone, Block
from offramp.core.codec import Codec
from offramp.core.encoded import Encoded
from offramp.core.estimate import Estimate
from offramp.core.exit_table import ExitTable
from offramp.core.plan import Plan
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.result import RunResult, ServedRequest
from offramp.core.tables import MOST_ROWS, html_table
from offramp.core.timing import Timing
from offramp.core.validation import Achieved, ValidatedPlan, Validation

PLAN = Plan((1, 2), ("phone", "<cloud>"), (0.4,))
ESTIMATE = Estimate(0.875, 0.25, (0.75, 0.25), (0.25, 0.0), 0.05, 0.05, 0.15, 0.0, (0.125, 0.5))
RUN = RunResult(
    plan=PLAN,
    topology="<mobile>",
    predicted=ESTIMATE,
    replayed=None,
    requests=(
        ServedRequest(id=7, exit=1, latency_s=0.5, correct=True),
        ServedRequest(id=8, exit=0, latency_s=0.25, correct=False, degraded=True),
        ServedRequest(id=9, exit=None, latency_s=None, correct=None),
    ),
    compute_s=0.125,
    communication_s=None,
)
PLANS = Validation(
    tuple(
        ValidatedPlan(
            topology="mobile",
            plan=PLAN,
            samples=4,
            predicted=Achieved(accuracy=0.75, latency_s=predicted_s, exit_rates=(0.5, 0.5)),
            measured=Achieved(accuracy=0.5, latency_s=measured_s, exit_rates=(0.75, 0.25)),
        )
        for predicted_s, measured_s in ((0.25, 0.5), (1.0, 1.0))
    )
)
TABLE = ExitTable(
    scores=np.full((2, 4), 0.5, np.float32), correct=np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool), label=np.arange(4)
)
RATES = ExitRates(np.array([0.2, 0.4]), Meaning.MARGINAL, np.array([[0.5, 1], [0.75, 1]]), np.array([0.5, 1]), 50)
BLOCKS = Timing(np.array([0.125, 0.25]), np.array([0.5, 1.0]), None, np.zeros(4), np.zeros(4))
WHOLE = Timing(None, None, np.array([[1.0, 2.0], [np.nan, 3.0]]), np.zeros(4), np.zeros(4))
BACKBONE = Backbone("tiny", "<digits>", 64, 320, (Block("stem", 128, 256), Block("body", 32)))
PROFILE = Profile(BACKBONE, {"pi4": BLOCKS, "xeon": WHOLE}, "pi4", exit_table=TABLE)
PUBLISHED = Profile(BACKBONE, {"pi4": BLOCKS}, "pi4", RATES)


class Cells(HTMLParser):
    """The caption and the cells of a table, and every tag in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.caption, self.rows, self.tags = "", [], set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows:
            self.rows[-1][-1] += data
        else:
            self.caption += data


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (PROFILE, "Profile(tiny on <digits>: 2 blocks, 4 samples; devices pi4, xeon)"),
        (PUBLISHED, "Profile(tiny on <digits>: 2 blocks, 50 samples; devices pi4)"),
        (TABLE, "ExitTable(2 branches, 4 samples)"),
        (RATES, "ExitRates(marginal at 2 thresholds: 2 branches, 50 samples)"),
        (BLOCKS, "Timing(2 blocks: block_s, branch_s)"),
        (WHOLE, "Timing(2 blocks: partition_s)"),
        (Encoded(TABLE, {"pi4": np.zeros(4)}, {"pi4": np.zeros(4)}), "Encoded(2 branches, 4 samples; devices pi4)"),
        (
            RUN,
            "RunResult(1@phone 2@<cloud> T=0.40 on <mobile>: 3 requests, 1 degraded, 1 failed; "
            "mean latency 0.375 s, predicted 0.25 s; accuracy 0.5, predicted 0.875)",
        ),
        (
            PLANS,
            "Validation(2 plans: latency off by 25.0% in the median, 50.0% at worst; accuracy by at most 25.00 points, "
            "exit rates by 25.00)",
        ),
    ],
)  # fmt: skip
def test_a_value_is_one_line_with_what_matters(value: object, text: str) -> None:
    assert repr(value) == text


def test_a_run_without_answers_shows_none() -> None:
    failed = ServedRequest(id=0, exit=None, latency_s=None, correct=None)
    run = RunResult(
        plan=PLAN, topology="t", predicted=ESTIMATE, replayed=ESTIMATE, requests=(failed,), compute_s=None,
        communication_s=None,
    )  # fmt: skip
    assert repr(run) == f"RunResult({PLAN} on t: 1 requests, 1 failed)"
    assert Cells(run._repr_html_()).rows[1] == ["accuracy", "0.875", "0.875", ""]


def test_a_profile_is_a_table_of_blocks() -> None:
    shown = Cells(PROFILE._repr_html_())
    assert shown.caption == repr(PROFILE)
    assert shown.rows == [
        [
            "block", "output_bits", "weight_bits", "accuracy", "balanced_accuracy", "least_recall", "pi4.block_s",
            "pi4.branch_s", "xeon.block_s", "xeon.branch_s",
        ],
        ["stem", "128", "256", "0.5", "0.5", "0", "0.125", "0.5", "", ""],
        ["body", "32", "", "0.75", "0.75", "0", "0.25", "1", "", ""],
    ]  # fmt: skip
    assert shown.tags == {"table", "caption", "thead", "tbody", "tr", "th", "td"}


def test_a_run_is_a_table_of_what_was_predicted_and_measured() -> None:
    shown = Cells(RUN._repr_html_())
    assert shown.caption == repr(RUN)
    assert shown.rows == [
        ["", "predicted", "replayed", "measured"],
        ["accuracy", "0.875", "", "0.5"],
        ["latency_s", "0.25", "", "0.375"],
        ["compute_s", "0.05", "", "0.125"],
        ["exit_rates[0]", "0.75", "", "0.5"],
        ["exit_rates[1]", "0.25", "", "0.5"],
        ["exit_latency_s[0]", "0.125", "", "0.25"],
        ["exit_latency_s[1]", "0.5", "", "0.5"],
    ]


def test_a_validation_is_a_table_of_plans() -> None:
    shown = Cells(PLANS._repr_html_())
    assert shown.rows[0] == [*PLANS.columns()]
    assert shown.rows[1] == ["mobile", str(PLAN), "4", "0.75", "0.5", "0.25", "0.5"]
    assert len(shown.rows) == 3


def test_everything_in_a_table_is_escaped() -> None:
    shown = Cells(html_table(["<th>"], [['<script>alert("&amp;")</script>']], caption="<b>"))
    assert (shown.caption, shown.rows) == ("<b>", [["<th>"], ['<script>alert("&amp;")</script>']])
    assert "script" not in shown.tags


def test_a_long_table_says_how_much_more_there_is() -> None:
    assert Cells(html_table(["i"], ([i] for i in range(MOST_ROWS)), caption="")).rows[-1] == [str(MOST_ROWS - 1)]
    shown = Cells(html_table(["i"], ([i] for i in range(MOST_ROWS + 5)), caption=""))
    assert shown.rows[-2:] == [[str(MOST_ROWS - 1)], ["and 5 more"]]


def test_the_columns_of_a_run_are_its_requests() -> None:
    columns = RUN.columns()
    assert {name: column.dtype.kind for name, column in columns.items()} == {
        "id": "i", "exit": "i", "latency_s": "f", "correct": "f", "degraded": "b",
    }  # fmt: skip
    assert columns["id"].tolist() == [7, 8, 9]
    assert columns["exit"].tolist() == [1, 0, -1]
    np.testing.assert_array_equal(columns["latency_s"], [0.5, 0.25, np.nan])
    np.testing.assert_array_equal(columns["correct"], [1, 0, np.nan])
    assert columns["degraded"].tolist() == [False, True, False]


def test_the_columns_of_a_validation_are_its_plans() -> None:
    columns = PLANS.columns()
    assert columns["topology"].tolist() == ["mobile", "mobile"]
    assert [Plan.parse(text) for text in columns["plan"]] == [PLAN, PLAN]
    assert columns["samples"].tolist() == [4, 4]
    assert columns["predicted_accuracy"].tolist() == [0.75, 0.75]
    assert columns["measured_accuracy"].tolist() == [0.5, 0.5]
    assert columns["predicted_latency_s"].tolist() == [0.25, 1.0]
    assert columns["measured_latency_s"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("profile", "accuracy"),
    [
        (PROFILE, [0.5, 0.75]),
        (PUBLISHED, [0.5, 1]),
        (
            Profile(
                BACKBONE,
                {"pi4": BLOCKS},
                "pi4",
                ExitRates(RATES.thresholds, RATES.meaning, RATES.exit_rate, RATES.accuracy, 50, np.array([0.25, 0.5])),
            ),
            [0.25, 0.5],
        ),
    ],
)
def test_the_columns_of_a_profile_are_its_blocks(profile: Profile, accuracy: list[float]) -> None:
    columns = profile.columns()
    assert columns["block"].tolist() == ["stem", "body"]
    assert columns["output_bits"].tolist() == [128, 32]
    np.testing.assert_array_equal(columns["weight_bits"], [256, np.nan])
    assert columns["accuracy"].tolist() == accuracy
    assert columns["pi4.block_s"].tolist() == [0.125, 0.25]


@pytest.mark.parametrize("value", [RUN, PLANS, PROFILE, PUBLISHED])
def test_columns_are_alike_in_length_and_can_be_stored_without_pickle(value: RunResult | Validation | Profile) -> None:
    columns = value.columns()
    assert len({column.shape for column in columns.values()}) == 1
    buffer = io.BytesIO()
    np.savez(buffer, **columns)
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as stored:
        for name, column in columns.items():
            np.testing.assert_array_equal(stored[name], column)


def test_an_encoded_profile_keeps_its_line() -> None:
    encoded = Encoded(TABLE, {"pi4": np.zeros(4)}, {"pi4": np.zeros(4)})
    profile = Profile(BACKBONE, {"pi4": BLOCKS}, "pi4", RATES, codecs={Codec.INT8: encoded})
    assert repr(profile.encoded(Codec.INT8)) == "Profile(tiny on <digits>: 2 blocks, 4 samples; devices pi4)"
