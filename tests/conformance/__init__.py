"""Suites written by others, run where they can be had."""
