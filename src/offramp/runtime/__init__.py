"""Running a bundle: tiers as processes, the messages between them, clients, emulated links. Knows bytes, not torch."""
