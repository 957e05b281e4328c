"""Benchmarks of component actors."""
