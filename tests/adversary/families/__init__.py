"""The families of pairs; each module yields its own from ``pairs()``."""
