"""What a component may do: refused, granted and taken back while it reads, all of it on record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airssys.osl import read_records
from airssys.wasm import GuestError
from examples.demo.delivery import BUILT
from examples.demo.telling import chapter, fail, first_line, shown, tell

if TYPE_CHECKING:
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost
    from examples.demo.load import Load
    from examples.demo.server import Server


def governed(load: Load, host: BlockingConnectedHost, server: Server) -> None:
    """Refuse a component, grant it what it asks for, and take that back while it reads."""
    chapter("a component that asks for a file")
    load.enter("beside a revocation")
    data = server.state.parent / "data"
    data.mkdir()
    (data / "names").write_text("ada, grace, alan")
    reader = host.deploy(
        BUILT / "file-reader.wasm",
        name="demo/reader",
        lifetime="pooled",
        instances=1,
        capabilities={"filesystem": [{"path": "/data/*", "access": ["read"]}]},
        mounts={"/data": data},
    )
    try:
        reader.call("open-file", "/data/names")
    except GuestError as refused:
        tell(f"refused: {first_line(refused)}")
    else:
        raise fail("nothing was granted, and the file was opened")
    (grant,) = reader.grant(why="to show it")
    reader.call("open-file", "/data/names")
    read = reader.call("read-file", 3)
    began = time.perf_counter()
    reader.revoke(grant, why="to show that too")
    revoked = time.perf_counter() - began
    try:
        reader.call("read-file", 3)
    except GuestError:
        tell(f"granted, it reads {read.decode()!r}; revoked in {shown(revoked)}, it reads no more")
    else:
        raise fail("the right was revoked, and the file could be read")
    on_record(server)


def on_record(server: Server) -> None:
    """Show that the audit log has each step, and that nobody has touched it."""
    deadline = time.monotonic() + 10
    while len(told := steps(server)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)  # it is written in groups
    server.run("audit", "verify")
    tell(f"the audit log, whose chain is whole, has each step: {', '.join(told)}")
    if len(told) != 5:
        raise fail("the audit log does not tell all of it")


def steps(server: Server) -> list[str]:
    """Return what the log tells of files and rights, the first step first."""
    return [
        f"{record.decision} ({record.rule})" if record.principal else record.operation
        for record in read_records(server.state / "audit")
        if record.operation.startswith(("filesystem.", "rights."))
    ]
