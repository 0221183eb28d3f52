"""Messages between tiers: their format, the transport that carries them, reliable delivery, and TLS."""
