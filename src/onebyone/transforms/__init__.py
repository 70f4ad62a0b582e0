"""Passes over the axis graph."""
