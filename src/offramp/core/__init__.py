"""The performance model and the planner: pure functions of frozen values; numpy, no files, clocks or prints."""
