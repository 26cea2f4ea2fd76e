"""Real HTTP servers on loopback that stand in for model providers and webhook receivers."""
