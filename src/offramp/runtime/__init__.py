"""Running a bundle: tiers as processes, messages between them, and what was measured. Knows bytes, not torch."""
