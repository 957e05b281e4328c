"""Sort an inbox into folders by file type, unable to touch anything else.

    python examples/osl/safe_file_sorter.py [DIRECTORY]

The policy lets the sorter list and empty `inbox/` and fill `sorted/`. A file that is a link to
something outside stays where it is, because what it leads to is not granted. Without DIRECTORY a
small one is made to show it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path, PurePath

from airssys import osl
from airssys.osl import OSL, AccessDenied, Principal

POLICY = """
[[rule]]
name = "empty the inbox"
to = ["sorter"]
access = ["list", "read", "metadata", "delete"]
target = ["{home}/inbox/**"]

[[rule]]
name = "fill the folders"
to = ["sorter"]
access = ["create", "write", "list", "metadata"]
target = ["{home}/sorted/**"]

[[rule]]
name = "keep what is marked"
effect = "deny"
to = ["*"]
access = ["delete"]
target = ["{home}/inbox/**/keep-*"]
"""


async def sort(home: Path) -> tuple[int, int]:
    """Move each file of the inbox to a folder named after its suffix; return moved and kept."""
    moved = kept = 0
    for entry in await osl.list_directory(home / "inbox"):
        suffix = PurePath(entry.name).suffix.lstrip(".").lower() or "other"
        folder = home / "sorted" / suffix
        try:
            # What is read is what would be moved: a link out of the inbox is refused here.
            await osl.read_file(entry.path, length=1)
            await osl.make_directory(folder, parents=True)
            await osl.move_file(entry.path, folder / entry.name)
        except AccessDenied as refusal:
            print(f"kept {entry.name}: {refusal.context['rule']}")
            kept += 1
        else:
            print(f"moved {entry.name} to {folder.relative_to(home)}")
            moved += 1
    return moved, kept


def prepare(home: Path) -> None:
    """Make an inbox with a few files, one that must stay, and one that leads outside."""
    (home / "inbox").mkdir()
    for name in ("report.pdf", "photo.JPG", "notes", "keep-this.txt"):
        (home / "inbox" / name).write_text(name)
    (home / "inbox" / "trick.pdf").symlink_to("/etc/passwd")


def main() -> None:
    """Run the sorter."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(sys.argv[1] if len(sys.argv) > 1 else temporary).resolve()
        if not (home / "inbox").exists():
            prepare(home)
        (home / "sorted").mkdir(exist_ok=True)
        policy = home / "policy.toml"
        policy.write_text(POLICY.format(home=home))
        with (
            OSL(policy=policy, audit=home / "audit") as system,
            system.acting_as(Principal("sorter")),
        ):
            moved, kept = asyncio.run(sort(home))
        denied = sum(1 for _ in osl.read_records(home / "audit", decision="deny"))
        print(f"{moved} moved, {kept} kept, {denied} refusals on record")


if __name__ == "__main__":
    main()
