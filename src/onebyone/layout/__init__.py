"""The layout plan: which variant each node takes, and which moves that costs."""
