"""Measure AirsSys beside its peers: `python -m benchmarks --help`."""
