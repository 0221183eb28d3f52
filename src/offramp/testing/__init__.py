"""Contracts as tests: subclass one in your own test suite to see that your part does what Offramp needs of it."""
