"""Speed and memory of `airssys.rt` against peers measured in the same run."""
