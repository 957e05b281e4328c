"""Write and scan much, and see that memory does not grow with it.

Usage: `python -m benchmarks.storage.soak [--gigabytes 10] [--folder DIR]`.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import tempfile
import time
from pathlib import Path

from airssys.wasm import BlockingStorage, Put, StorageQuota

#: Bytes of one value, and values of one batch.
_VALUE = 100_000
_BATCH = 80
#: Bytes of memory that may be used beyond those used when a tenth was written.
_GROWTH = 100 << 20


def value_of(number: int) -> bytes:
    """Return the value of an entry, which its number determines."""
    block = hashlib.sha256(number.to_bytes(8, "little")).digest()
    return (block * (_VALUE // len(block) + 1))[:_VALUE]


def resident() -> int:
    """Return the bytes of memory that this process uses."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="write and scan much in one storage")
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    arguments = parser.parse_args()
    count = int(arguments.gigabytes * 10**9 / _VALUE)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix=".soak-storage-") as where:
        return soak(Path(where) / "storage.redb", count)


def soak(file: Path, count: int) -> int:
    """Write, scan, open again and scan again; return the exit code."""
    quota = StorageQuota(bytes=1 << 50, keys=1 << 40, key=256, value=_VALUE)
    first, peak, began = 0, 0, time.monotonic()
    with BlockingStorage.open(file) as storage:
        namespace = storage.namespace("soak/store", quota=quota)
        for begin in range(0, count, _BATCH):
            numbers = range(begin, min(begin + _BATCH, count))
            namespace.batch([Put(f"k{number:010}", value_of(number)) for number in numbers])
            if begin >= count // 10 and not first:
                first = resident()
            peak = max(peak, resident())
        usage = namespace.usage()
    print(
        f"wrote {usage.keys} entries, {usage.bytes / 1e9:.2f} GB, file "
        f"{file.stat().st_size / 1e9:.2f} GB, {time.monotonic() - began:.0f} s"
    )
    began = time.monotonic()
    with BlockingStorage.open(file) as storage:
        found = 0
        for entry in storage.namespace("soak/store", quota=quota).scan():
            if (entry.key, entry.value) != (f"k{found:010}", value_of(found)):
                print(f"error: entry {found} is not what was written", file=sys.stderr)
                return 1
            found += 1
            if found % 1000 == 0:
                peak = max(peak, resident())
    print(f"scanned {found} entries, {time.monotonic() - began:.0f} s")
    print(f"memory: {first >> 20} MiB after a tenth, {peak >> 20} MiB at most")
    if found != count or usage.keys != count:
        print(f"error: {count} entries were written, {found} found", file=sys.stderr)
        return 1
    if peak - first > _GROWTH:
        print("error: memory grows with what is stored", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
