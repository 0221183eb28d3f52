"""The study that the reports' tests tell of."""

from tests.reports.conftest import planner, run, solution, study, validation

__all__ = ["planner", "run", "solution", "study", "validation"]
