"""Swap fully connected layers and convolutions inside torch models, and carry their checkpoints."""
