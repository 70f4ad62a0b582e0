"""A dialect of ten operators, to see what a third one costs and that nothing else is asked of it.

Models are JSON files with static shapes and float32 weights. ``files``, ``read``, ``write`` and
``run`` are all that it has; `tests.toy.test_toy` converts and certifies through the same engine.
"""
