"""Write `THIRD-PARTY-NOTICES.txt`: whose code a wheel contains, and under which licences.

Usage: `python tools/notices.py [--check]`.

The crates are those that cargo resolves for the native module on Linux, without what only builds
or tests; their texts are the licence files that lie in their archives. The Python packages are
what an installation brings along; they are not in the wheel, so they are named only. Nothing is
fetched, and the same lock files and environment give the same bytes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "THIRD-PARTY-NOTICES.txt"
TARGET = "x86_64-unknown-linux-gnu"
MODULE = "airssys-python"
LICENCE_FILE = re.compile(r"(?i)^(licen[cs]e|copying|copyright|notice|unlicense)")
RULE = "=" * 78


class NoticeError(Exception):
    """Say in one line what prevents the notices from being written."""


@dataclass(frozen=True, slots=True)
class Crate:
    """One crate that is compiled into the native module."""

    name: str
    version: str
    licence: str
    folder: Path

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    def texts(self) -> list[str]:
        """The contents of its licence files, those of bundled C sources included, by path."""
        found = (path for depth in ("*", "*/*", "*/*/*") for path in self.folder.glob(depth))
        files = sorted(path for path in found if LICENCE_FILE.match(path.name))
        return [_normalised(path.read_text("utf-8")) for path in files if path.is_file()]


def _normalised(text: str) -> str:
    """One spelling of a text, so that copies of it are found to be the same."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").expandtabs(4).split("\n")]
    return "\n".join(lines).strip("\n")


def crates() -> list[Crate]:
    """List the crates of others that the native module is built from, by name."""
    command = ["cargo", "metadata", "--offline", "--locked", "--format-version", "1"]
    done = subprocess.run(
        [*command, "--filter-platform", TARGET],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1]
        raise NoticeError(f"cargo metadata failed: {last}; run `cargo fetch --locked` once")
    metadata = json.loads(done.stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    [root] = [name for name, package in packages.items() if package["name"] == MODULE]
    return sorted(
        (
            Crate(
                package["name"],
                package["version"],
                _licence(package),
                Path(package["manifest_path"]).parent,
            )
            for package in (packages[name] for name in _linked(root, nodes, packages))
            if package["source"] is not None
        ),
        key=lambda crate: (crate.name, crate.version),
    )


def _licence(package: dict[str, Any]) -> str:
    licence = package["license"]
    if not licence:
        raise NoticeError(f"{package['name']} {package['version']} declares no licence")
    return re.sub(r"\s*/\s*", " OR ", licence)


def _linked(root: str, nodes: dict[str, Any], packages: dict[str, Any]) -> set[str]:
    """Follow the ordinary dependencies; what builds or expands code is not in the binary."""
    found, open_ends = set(), [root]
    while open_ends:
        name = open_ends.pop()
        if name in found:
            continue
        found.add(name)
        for dependency in nodes[name]["deps"]:
            ordinary = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            kinds = {
                kind for target in packages[dependency["pkg"]]["targets"] for kind in target["kind"]
            }
            if ordinary and "proc-macro" not in kinds:
                open_ends.append(dependency["pkg"])
    return found


def python_packages() -> list[tuple[str, str, str]]:
    """List name, version and licence of what an installation brings along, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found: dict[str, tuple[str, str, str]] = {}
    open_ends = [_requirement(text) for text in project["dependencies"]]
    while open_ends:
        name = open_ends.pop()
        if name is None or name in found:
            continue
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise NoticeError(f"{name} is not installed here; run `make setup`") from None
        found[name] = (name, package.version, _declared(package.metadata))
        open_ends += [_requirement(text) for text in package.requires or []]
    return sorted(found.values())


def _requirement(text: str) -> str | None:
    """The name in a requirement that holds on Linux without extras."""
    specification, _, marker = text.partition(";")
    if (
        "extra ==" in marker
        or "win32" in marker
        or "Windows" in marker
        or "python_version <" in marker
    ):
        return None
    match = re.match(r"[A-Za-z0-9._-]+", specification)
    if match is None:
        raise NoticeError(f"cannot read the requirement {text!r}")
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def _declared(metadata: Any) -> str:
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = metadata.get_all("Classifier") or []
    licences = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License ::")]
    if licences:
        return ", ".join(licences)
    licence = (metadata.get("License") or "").strip()
    if licence and "\n" not in licence:
        return str(licence)
    raise NoticeError(f"{metadata['Name']} declares no licence")


def notices() -> str:
    """Compose the file."""
    compiled = crates()
    by_text: dict[str, list[Crate]] = defaultdict(list)
    without = []
    for crate in compiled:
        texts = crate.texts()
        if not texts:
            without.append(crate)
        for text in texts:
            if crate not in by_text[text]:
                by_text[text].append(crate)
    lines = [
        "AirsSys is licensed under the Apache License 2.0 (LICENSE). Its native module",
        f"contains code of the {len(compiled)} crates below; it needs the Python packages below.",
        "Each is used under the licence that it declares; the texts follow.",
        "Made by tools/notices.py.",
        "",
        "Crates in the native module",
        RULE,
        *(f"{crate.title}: {crate.licence}" for crate in compiled),
        "",
        "Python packages that are installed with it (not contained)",
        RULE,
        *(f"{name}: {licence}" for name, _version, licence in python_packages()),
        "",
    ]
    if without:
        lines += [
            "Crates whose archives hold no licence file: the declared licence applies, whose",
            "text stands below with other crates of the same project",
            RULE,
            *(f"{crate.title}: {crate.licence}" for crate in without),
            "",
        ]
    for text, users in sorted(by_text.items(), key=lambda item: (item[1][0].title, item[0])):
        lines += [RULE, *_wrapped([crate.title for crate in users]), RULE, "", text, ""]
    return "\n".join(lines)


def _wrapped(titles: list[str]) -> list[str]:
    lines = [""]
    for index, title in enumerate(titles):
        word = title + ("," if index + 1 < len(titles) else "")
        if lines[-1] and len(lines[-1]) + len(word) > 77:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines


def main() -> int:
    """Run the command line; 1 when the file is stale or cannot be made."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    arguments = parser.parse_args()
    try:
        text = notices()
    except NoticeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if not arguments.check:
        OUTPUT.write_text(text, "utf-8")
        return 0
    if OUTPUT.read_text("utf-8") == text:
        return 0
    sys.stderr.write("error: THIRD-PARTY-NOTICES.txt is stale\nhint: python tools/notices.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
