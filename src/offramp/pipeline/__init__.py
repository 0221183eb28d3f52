"""The verbs, a function each: train, profile, solve, build, run, validate and what goes with them."""
