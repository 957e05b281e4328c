"""Calls, values, host functions, instances, loading and memory beside wasmtime-py."""
