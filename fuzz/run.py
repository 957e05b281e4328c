"""Runs fuzz targets: native ones by libFuzzer, those in Python by atheris, values by a Rust test.

    python fuzz/run.py [--target NAME] [--seconds 60] [--input FILE] [--keep] [--list]

What the fuzzers find out about their inputs outlives a run, in the user's cache; `fuzz/corpus`
holds the few that are kept in the repository, and `--keep` brings it up to date. An input that
finds a fault is reported with the command that shows it again, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airssys/fuzz"
#: Seconds and MiB that one input may take; more is a fault.
SLOWEST, MOST_MEMORY = 20, 4096
#: What is kept of one target in the repository.
KEPT_INPUT, KEPT_TARGET = 4096, 64 * 1024
_LINE = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/\S+.*exec/s: (\d+)")
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")


class Progress(NamedTuple):
    """What libFuzzer last said of itself."""

    executions: int = 0
    coverage: int = 0
    features: int = 0
    inputs: int = 0
    speed: int = 0


def native_targets() -> list[str]:
    """Return the names of the targets in Rust."""
    manifest = tomllib.loads((HERE / "Cargo.toml").read_text())
    return [each["name"] for each in manifest["bin"]]


def python_targets() -> list[str]:
    """Return the names of the targets in Python."""
    sys.path.insert(0, str(HERE / "python"))
    from fuzz_targets import TARGETS  # noqa: PLC0415 - needs the built module, the others do not

    return list(TARGETS)


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def stop(text: str) -> NoReturn:
    """End with one line."""
    sys.exit(f"fuzz: {text}")


def built(target: str) -> list[str]:
    """Return the command of a native target, built by the stable compiler.

    Only the project's own code is built for the fuzzer (see rustc.sh): the engine is fuzzed where
    it is made, and takes long to build.
    """
    say(f"{target}: building (the first target takes some minutes)")
    folders = {"RUSTC_WRAPPER": str(HERE / "rustc.sh"), "CARGO_TARGET_DIR": str(HERE / "target")}
    _run(
        ["cargo", "build", "--release", "--quiet", "--locked", "--bin", target],
        os.environ | folders,
        HERE,
    )
    return [str(HERE / "target/release" / target)]


def interpreted(target: str) -> list[str]:
    """Return the command of a target in Python, with atheris installed beside the project."""
    packages = CACHE / f"atheris-{sys.version_info.major}.{sys.version_info.minor}"
    if not packages.exists():
        say(f"installing atheris into {packages}")
        uv = Path(sys.executable).with_name("uv")
        requirements = ROOT / "requirements/fuzz.txt"
        install = [str(uv), "pip", "install", "--quiet", "--target", f"{packages}.new"]
        _run([*install, "--require-hashes", "-r", str(requirements)])
        Path(f"{packages}.new").rename(packages)
    os.environ["PYTHONPATH"] = str(packages)
    return [sys.executable, str(HERE / "python/fuzz_one.py"), target]


def _run(command: list[str], environment: dict[str, str] | None = None, at: Path = ROOT) -> None:
    done = subprocess.run(command, env=environment, cwd=at, check=False)
    if done.returncode:
        stop(f"`{' '.join(command)}` ended with {done.returncode}")


def fuzz(target: str, command: list[str], seconds: int) -> bool:
    """Run one target; return whether it found nothing."""
    found, known = CACHE / "found" / target, CACHE / "corpus" / target
    kept = HERE / "corpus" / target
    for folder in (found, known, kept):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    words = HERE / "dictionaries" / f"{target}.dict"
    begun = time.monotonic()
    process = subprocess.Popen(
        [
            *command,
            f"-max_total_time={seconds}",
            f"-timeout={SLOWEST}",
            f"-rss_limit_mb={MOST_MEMORY}",
            f"-artifact_prefix={found}/",
            "-print_final_stats=1",
            *([f"-dict={words}"] if words.exists() else []),
            str(known),
            str(kept),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    progress, tail = _follow(process, target, begun)
    code = process.wait()
    for left in Path("/dev/shm").glob(f"airssys-fuzz-*-{process.pid}"):
        shutil.rmtree(left, ignore_errors=True)
    took = round(time.monotonic() - begun)
    say(f"{target}: {_shown(progress)} in {took} s, exit code {code}")
    _note(target, progress, took, code)
    if code == 0:
        return True
    say("\n".join(tail))
    for path in sorted(set(found.iterdir()) - before):
        say(f"{target}: found a fault; see it again with\n  make fuzz TARGET={target} INPUT={path}")
    return False


def _follow(
    process: subprocess.Popen[str], target: str, begun: float
) -> tuple[Progress, list[str]]:
    progress, tail, told = Progress(), [], begun
    assert process.stdout is not None
    for line in process.stdout:
        if "INFO: Instrumenting" not in line:
            tail = [*tail[-60:], line.rstrip()]
        if match := _LINE.search(line):
            progress = Progress(*map(int, match.groups()))
            if time.monotonic() - told > 10:
                told = time.monotonic()
                say(f"{target}: {_shown(progress)} after {round(told - begun)} s")
        elif match := _EXECUTED.search(line):
            progress = progress._replace(executions=int(match[1]))
    return progress, tail


def _shown(progress: Progress) -> str:
    return (
        f"{progress.executions:,} inputs, {progress.coverage:,} edges covered,"
        f" {progress.inputs:,} inputs of interest"
    )


def _note(target: str, progress: Progress, seconds: int, code: int) -> None:
    """Append to the record of runs, from which the tables of the documents are written."""
    row = {"target": target, "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M}"}
    row |= progress._asdict() | {"seconds": seconds, "code": code}  # type: ignore[assignment]
    with (CACHE / "runs.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def again(command: list[str], path: Path) -> bool:
    """Run one input, with all that it prints."""
    done = subprocess.run([*command, f"-timeout={SLOWEST}", str(path)], check=False)
    return done.returncode == 0


def keep(target: str, command: list[str]) -> None:
    """Replace the kept inputs by the smallest that cover what all known ones do, within bounds."""
    kept = HERE / "corpus" / target
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(folder)
        sources = [str(CACHE / "corpus" / target), str(kept)]
        # Small ones first: what a larger one covers beside is left out when there is no room.
        _run([*command, "-merge=1", f"-max_len={KEPT_INPUT}", str(merged), *sources])
        inputs = sorted(merged.iterdir(), key=lambda path: path.stat().st_size)
        named = [path for path in kept.iterdir() if not re.fullmatch(r"[0-9a-f]{40}", path.name)]
        room = KEPT_TARGET - sum(path.stat().st_size for path in named)
        for path in set(kept.iterdir()) - set(named):
            path.unlink()
        for path in inputs:
            room -= path.stat().st_size
            if room < 0:
                break
            shutil.copy(path, kept / path.name)
    say(f"{target}: {len(list(kept.iterdir()))} inputs kept")


def values(types: str) -> bool:
    """Cross values of random types between host and guest, on both paths."""
    done = subprocess.run(
        ["cargo", "test", "--release", "-p", "airssys-host", "--lib", "value"],
        cwd=ROOT,
        env=os.environ | {"AIRSSYS_FUZZ_TYPES": types, "PYO3_PYTHON": sys.executable},
        check=False,
    )
    if done.returncode:
        say(f"values: found a fault; see it again with\n  make fuzz TARGET=values TYPES={types}")
    return done.returncode == 0


def commands(chosen: str | None) -> Iterator[tuple[str, list[str] | None]]:
    """Yield the chosen targets, ready to run; None for the one that is a test in Rust."""
    native, python = native_targets(), python_targets()
    known = ["values", *native, *python]
    if chosen is not None and chosen not in known:
        stop(f"there is no target {chosen!r}; there are {', '.join(known)}")
    for name in known if chosen is None else [chosen]:
        if name == "values":
            yield name, None
        else:
            yield name, built(name) if name in native else interpreted(name)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--types", default="5000")
    parser.add_argument("--input", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        say("\n".join(["values", *native_targets(), *python_targets()]))
        return
    if arguments.input is not None and (
        arguments.target in {None, "values"} or not arguments.input.is_file()
    ):
        stop("INPUT= is a file, and goes with the TARGET= that it is for")
    clean = True
    for name, command in commands(arguments.target):
        if command is None:
            clean &= arguments.keep or values(arguments.types)
        elif arguments.input is not None:
            clean &= again(command, arguments.input.resolve())
        elif arguments.keep:
            keep(name, command)
        else:
            clean &= fuzz(name, command, arguments.seconds)
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
