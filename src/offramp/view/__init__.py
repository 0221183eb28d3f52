"""Pictures and words of plans, frontiers and measurements: a record first, then drawn by matplotlib or by the page."""
