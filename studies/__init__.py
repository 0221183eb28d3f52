"""Evaluations from the literature, done again with Offramp."""
