"""Run the build of a project nobody trusts: its tools, its directory, and nothing else.

    python examples/osl/build_runner.py

The build script may run the shell and the tools that are granted. It tries to read a key and to
reach the network on the way; the kernel refuses both, and the build goes on without.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from airssys import osl
from airssys.osl import OSL, Principal, ProcessLimits

SHELL = os.path.realpath("/bin/sh")

POLICY = f"""
[[rule]]
name = "the shell"
to = ["builder"]
kind = "process"
access = ["spawn"]
target = ["{SHELL}"]

[[rule]]
name = "the tools"
to = ["builder"]
access = ["execute", "read"]
target = ["/usr/bin/**"]

[[rule]]
name = "the project"
to = ["builder"]
access = ["read", "list", "write", "create", "delete", "metadata"]
target = ["{{project}}/**"]
"""

BUILD = """
set -u
echo "compiling"
cat source/*.txt | tr a-z A-Z > output.txt || exit 1
if cat {key} > stolen.txt 2> /dev/null; then echo "got the key"; else echo "no key"; fi
if (exec 3<> /dev/tcp/127.0.0.1/22) 2> /dev/null; then echo "got out"; else echo "no network"; fi
echo "built $(wc -c < output.txt) bytes"
"""


async def build(project: Path) -> osl.ProcessOutput:
    """Run `build.sh` in the project with limits, and return what it wrote."""
    return await osl.run(
        SHELL,
        project / "build.sh",
        directory=project,
        environment={"HOME": str(project)},
        limits=ProcessLimits(cpu=30, memory=1 << 30, file_size=64 << 20),
        timeout=60,
        output_limit=1 << 20,
    )


def main() -> None:
    """Make a project and build it."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary).resolve()
        project, key = home / "project", home / "signing.key"
        (project / "source").mkdir(parents=True)
        (project / "source" / "a.txt").write_text("hello\n")
        (project / "build.sh").write_text(BUILD.format(key=key))
        key.write_text("secret")
        policy = home / "policy.toml"
        policy.write_text(POLICY.format(project=project))
        with (
            OSL(policy=policy, audit=home / "audit") as system,
            system.acting_as(Principal("builder")),
        ):
            done = asyncio.run(build(project))
        print(done.stdout.decode(), end="")
        print(f"exit {done.exit_code}, confined by {done.confinement['landlock']}")


if __name__ == "__main__":
    main()
