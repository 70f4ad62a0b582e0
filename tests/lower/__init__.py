"""Tests of what both writers share."""
