"""Swap fully connected layers and convolutions inside torch models, and carry their checkpoints."""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise ImportError("torch is not installed: pip install 'onebyone[torch]'")
