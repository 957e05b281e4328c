"""Run one command component as a process: `run_guest.py '{"component": …}'`, the rest in the JSON.

What `airssys run` does, with the right to listen besides.
"""

from __future__ import annotations

import json
import sys

from airssys.wasm import Directory, Engine, LimitExceeded, Limits, Trap, Wasi


def main(text: str) -> int:
    given = json.loads(text)
    component = Engine(cache=None).load(given["component"], in_process=True)
    network = given["network"]
    wasi = Wasi(
        arguments=["guest", *given["arguments"]],
        environment=given["environment"],
        directories={
            path: Directory(host, write=True) for path, host in given["directories"].items()
        },
        connect=network,
        listen=network,
        stdin=None,
        stdout="inherit",
        stderr="inherit",
    )
    try:
        return component.run(wasi=wasi, limits=Limits(memory="1GiB")).status
    except (Trap, LimitExceeded) as error:
        print(error, *getattr(error, "__notes__", ()), *wasi.denials, sep="\n", file=sys.stderr)
        return 134


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
