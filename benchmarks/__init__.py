"""One command a table: ``python -m benchmarks.NAME``. Timings are paired and interleaved."""
