"""The whole story in one run; see `__main__`."""
