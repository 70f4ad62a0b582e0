"""Dialects: how a model format's operators become axis nodes, and how they are written back."""
