"""From fx nodes to the engine: names and arguments mapped to meanings."""
