"""The study that the reports' tests tell of."""

from tests.reports.conftest import planner, run, study, validation

__all__ = ["planner", "run", "study", "validation"]
