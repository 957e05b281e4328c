"""A host in a process of its own: `host_process.py STATE DATA [POLICY]`; its guest reads a file.

It prints one line per change of what reading comes to, and ends when its input does.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from airssys.wasm import GuestError, Host
from airssys.wasm.manifest.component_manifest import Capabilities, FilesystemRequest

GUEST = Path(__file__).parents[3] / "build" / "components" / "file-reader.wasm"
NAME = "acme/reader"
READ = Capabilities(filesystem=(FilesystemRequest(path="/data/**", access=("read",)),))


def main() -> None:
    state, data, *policy = sys.argv[1:]
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    with Host.open_blocking(state, policy=policy or None) as host:
        reader = host.deploy(
            GUEST,
            name=NAME,
            lifetime="pooled",
            instances=1,
            capabilities=READ,
            mounts={"/data": data},
            grant="requested",
        )
        last = None
        while not over.is_set():
            try:
                reader.call("open-file", "/data/file")
                # A descriptor that was open before the right was taken back is read as well.
                for _ in range(20):
                    reader.call("read-file", 1)
                said = "read"
            except GuestError:
                said = "refused"
            if said != last:
                print(said, flush=True)
            last = said


if __name__ == "__main__":
    main()
