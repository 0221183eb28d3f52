"""Messages between tiers: what they hold, who delivers them, over which sessions, how secured."""
