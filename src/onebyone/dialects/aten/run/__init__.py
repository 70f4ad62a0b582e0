"""Exported programs run: by an interpreter of their own, and by PyTorch."""
