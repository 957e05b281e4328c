"""Back up a directory, and prove afterwards from the log what was and was not copied.

    python examples/osl/audited_backup.py

Every read and write is in a hash-chained log. The backup skips what a deny rule protects, writes
each copy atomically, and ends by verifying the log and counting from it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from airssys import osl
from airssys.osl import OSL, AccessDenied, Principal

POLICY = """
[[rule]]
name = "read what is backed up"
to = ["backup"]
access = ["read", "list"]
target = ["{source}/**"]

[[rule]]
name = "never the keys"
effect = "deny"
to = ["*"]
access = ["*"]
target = ["{source}/**/*.key"]

[[rule]]
name = "write copies, durably on record"
to = ["backup"]
access = ["create", "write"]
target = ["{target}/**"]
must_audit = true
"""


async def back_up(source: Path, target: Path) -> None:
    """Copy every file below `source` that may be read."""
    async for entry in await osl.walk_directory(source):
        copy = target / Path(entry.path).relative_to(source)
        if entry.kind == "directory":
            await osl.make_directory(copy, parents=True)
        elif entry.kind == "file":
            try:
                await osl.write_file(copy, await osl.read_file(entry.path), mode="replace")
            except AccessDenied as refusal:
                print(f"skipped {entry.name}: {refusal.context['rule']}")


def main() -> None:
    """Make something to back up, back it up, and read the log."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary).resolve()
        source, target = home / "source", home / "target"
        (source / "sub").mkdir(parents=True)
        target.mkdir()
        for name in ("a.txt", "b.txt", "sub/c.txt", "sub/signing.key"):
            (source / name).write_text(name)
        policy = home / "policy.toml"
        policy.write_text(POLICY.format(source=source, target=target))
        with (
            OSL(policy=policy, audit=home / "audit") as system,
            system.acting_as(Principal("backup"), session="nightly"),
        ):
            asyncio.run(back_up(source, target))
        found = osl.verify_log(home / "audit")
        decisions = Counter(
            (record.operation, record.decision)
            for record in osl.read_records(home / "audit", operation="filesystem")
        )
        for (operation, decision), count in sorted(decisions.items()):
            print(f"{operation} {decision}: {count}")
        copies = sorted(str(path.relative_to(target)) for path in target.rglob("*.*"))
        print(f"copied {', '.join(copies)}; the log of {found['records']} records is unbroken")


if __name__ == "__main__":
    main()
