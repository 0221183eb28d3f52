"""A new plan while requests are in flight: none lost, each by the plan that its answer names."""

from collections import Counter

import pytest

from offramp.core.plan import Plan
from offramp.errors import InputError
from offramp.runtime.local import LocalDeployment
from tests.runtime.conftest import PLANS
from tests.runtime.tiny import Case


def test_plans_are_switched_under_load(tiny: Case, deployment: LocalDeployment) -> None:
    """All plans of the bundle in turn, other placements, other codecs and back."""
    count, every = 3000, 250
    coming = [PLANS[i % len(PLANS)] for i in range(1, count // every)] + [PLANS[0]]
    with deployment.client() as client, deployment.client() as other:
        answers = []
        for answer in client.ask_all(tiny.many(count), deadline_s=20, window=16):
            answers.append(answer)
            if len(answers) % every == 0:
                other.switch(Plan.parse(coming[len(answers) // every - 1]))
        assert str(client.current_plan()) == PLANS[0]
    assert [answer.number for answer in answers] == list(range(count))
    assert [tiny.wrong(answer, PLANS) for answer in answers if tiny.wrong(answer, PLANS)] == []
    assert not any(answer.error or answer.degraded for answer in answers)
    assert set(Counter(answer.plan for answer in answers)) == set(PLANS)
    for i, plan in enumerate(coming[:-1]):
        # Those in flight end by the plan before, and all sent afterwards go by the new one.
        assert {answer.plan for answer in answers[every * (i + 1) + 16 : every * (i + 2)]} == {plan}


def test_thresholds_are_free(tiny: Case, deployment: LocalDeployment) -> None:
    everyone, no_one = "1@watch 2-3@phone 4@cloud T=1.00", "1@watch 2-3@phone 4@cloud T=0.00"
    with deployment.client() as client:
        for plan, exit in ((everyone, 0), (no_one, 2)):
            client.switch(Plan.parse(plan))
            assert str(client.current_plan()) == plan
            for answer in client.ask_all(tiny.samples, deadline_s=20, window=4):
                assert tiny.wrong(answer, [plan]) == ""
                assert answer.exit == exit
        client.switch(Plan.parse(PLANS[0]))


@pytest.mark.parametrize(
    "plan",
    [
        "1@watch 2-3@cloud 4@phone T=0.50",  # another placement
        "1-2@watch 3@phone 4@cloud T=0.50",  # other cuts
        "1@watch 2-3@phone 4@cloud T=0.60,0.30 codec=int8",  # another codec
        "1-9@watch",
        "1@elsewhere 2-4@cloud T=0.5",
    ],
)
def test_a_plan_that_the_bundle_was_not_built_for_is_refused(
    tiny: Case, deployment: LocalDeployment, plan: str
) -> None:
    with deployment.client() as client:
        with pytest.raises(InputError, match="the bundle was not built for the plan"):
            client.switch(Plan.parse(plan))
        assert str(client.current_plan()) == PLANS[0]
        answers = list(client.ask_all(tiny.many(20), deadline_s=20, window=4, plan=Plan.parse(plan)))
        assert all("the bundle was not built for the plan" in answer.error for answer in answers)
        assert not any(tiny.wrong(answer) for answer in client.ask_all(tiny.samples, deadline_s=20))
