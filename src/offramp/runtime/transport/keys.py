"""The keys that tiers and clients answer to. A tier stands by its index on the line, the device's is 0."""


def work_key(tier: int) -> str:
    """Where a tier takes tasks."""
    return f"offramp/{tier}/work"


def result_key(tier: int) -> str:
    """Where a tier takes outcomes, if it is the destination."""
    return f"offramp/{tier}/result"


def plan_key(tier: int) -> str:
    """Where a tier takes a new plan, if it is the source."""
    return f"offramp/{tier}/plan"


def client_key(client_id: str) -> str:
    """Where a client takes its answers."""
    return f"offramp/client/{client_id}"
