"""Pairs of models made to fool ``verify``, with a truth that is computed without onebyone."""
