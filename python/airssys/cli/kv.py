"""`airssys kv`: look at and change what deployments store."""

from __future__ import annotations

import base64
import contextlib
import errno
import sys
from pathlib import Path  # noqa: TC003 - typer looks at annotations
from typing import TYPE_CHECKING, Annotated

import typer

from airssys.cli.configuration import State  # noqa: TC001 - typer looks at annotations
from airssys.cli.exit_codes import ExitCode
from airssys.cli.names import using_host
from airssys.cli.output import (
    Json,
    escaped,
    print_error,
    print_json,
    print_note,
    print_table,
    size_text,
    working,
)
from airssys.wasm.host_errors import InvalidSetting, UnknownDeployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airssys.wasm.remote.storage import ConnectedStorage
    from airssys.wasm.storage_blocking import BlockingStorage
    from airssys.wasm.storage_records import StorageEntry

__all__ = ["app"]

app = typer.Typer(
    name="kv",
    help="Look at and change what deployments store, in the server if one runs.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The deployment, as image/resizer.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The key.")]


@contextlib.contextmanager
def _storage(state: Path | None) -> Iterator[BlockingStorage | ConnectedStorage]:
    """Use the storage of the host that serves; else own it, and start no deployment."""
    with using_host(state) as host:
        yield host.storage


def _shown(value: bytes) -> dict[str, str]:
    """Return the value as JSON has it: text, or base64 where it is no text."""
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _unknown(name: str, key: str) -> typer.Exit:
    print_error(
        f"'{name}' has no key '{key}'",
        f"`airssys kv list {name}` shows the keys",
        code="unknown-key",
    )
    return typer.Exit(ExitCode.NOT_FOUND)


def _document(entry: StorageEntry) -> dict[str, object]:
    return {
        "key": entry.key,
        **_shown(entry.value),
        "version": entry.version,
        "expires": entry.expires,
    }


@app.command("list")
def list_keys(
    name: Name,
    prefix: Annotated[str, typer.Option("--prefix", help="Only keys that begin so.")] = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="At most so many keys.")
    ] = 1000,
    state: State = None,
    as_json: Json = False,
) -> None:
    """List keys, with size, version and expiry."""
    entries: list[StorageEntry] = []
    with _storage(state) as storage:
        more = False
        for entry in storage.namespace(name).scan(prefix):
            if len(entries) == limit:
                more = True
                break
            entries.append(entry)
    if as_json:
        print_json({"entries": [_document(entry) for entry in entries], "more": more})
        return
    print_table(
        ("KEY", "SIZE", "VERSION", "EXPIRES"),
        (
            (entry.key, size_text(len(entry.value)), entry.version, entry.expires or "-")
            for entry in entries
        ),
    )
    if more:
        print_note(f"there are more; --limit shows more than {limit}, --prefix fewer")


@app.command()
def get(name: Name, key: Key, state: State = None, as_json: Json = False) -> None:
    """Print the value of a key as it is; ends with 3 where it has none."""
    with _storage(state) as storage:
        entry = storage.namespace(name).entry(key)
    if entry is None:
        raise _unknown(name, key)
    if as_json:
        print_json(_document(entry))
    elif sys.stdout.isatty():
        # Bytes of a guest must not steer the terminal.
        sys.stdout.write(escaped(entry.value.decode(errors="backslashreplace")) + "\n")
    else:
        sys.stdout.buffer.write(entry.value)


@app.command("set")
def set_value(
    name: Name,
    key: Key,
    value: Annotated[
        str | None, typer.Argument(metavar="VALUE", help="The value; standard input without it.")
    ] = None,
    time_to_live: Annotated[
        float | None, typer.Option("--ttl", metavar="SECONDS", help="How long it stays.")
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Set the value of a key, within the limits of the deployment."""
    content = sys.stdin.buffer.read() if value is None else value.encode()
    with _storage(state) as storage:
        version = storage.namespace(name).set(key, content, time_to_live=time_to_live)
    if as_json:
        print_json({"key": key, "version": version})
    else:
        print_note(f"set '{key}', {size_text(len(content))}, version {version}")


@app.command()
def delete(name: Name, key: Key, state: State = None, as_json: Json = False) -> None:
    """Delete a key; ends with 3 where there is none."""
    with _storage(state) as storage:
        existed = storage.namespace(name).delete(key)
    if not existed:
        raise _unknown(name, key)
    if as_json:
        print_json({"key": key, "deleted": True})
    else:
        print_note(f"deleted '{key}'")


@app.command()
def usage(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One deployment; all without it.")
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Show how much deployments store, and may store."""
    with _storage(state) as storage:
        used = {}
        for each in storage.namespaces() if name is None else (name,):
            try:
                used[each] = storage.namespace(each).usage()
            except UnknownDeployment:
                if name is not None:
                    raise
                print_note(f"'{each}' has entries, and there is no such deployment")
    if as_json:
        print_json(
            [
                {
                    "name": each,
                    "keys": usage.keys,
                    "bytes": usage.bytes,
                    "most_keys": usage.quota.keys,
                    "most_bytes": usage.quota.bytes,
                }
                for each, usage in used.items()
            ]
        )
        return
    print_table(
        ("NAME", "KEYS", "OF", "SIZE", "OF"),
        (
            (
                each,
                usage.keys,
                usage.quota.keys,
                size_text(usage.bytes),
                size_text(usage.quota.bytes),
            )
            for each, usage in used.items()
        ),
    )


@app.command("export")
def export_entries(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, JSON lines.")],
    state: State = None,
    as_json: Json = False,
) -> None:
    """Write every entry of a deployment to a file of JSON lines."""
    with _storage(state) as storage, working(f"exporting {name}"):
        _check_folder(file)
        count = storage.namespace(name).export_jsonl(file)
    _print_count("exported", count, file, as_json=as_json)


@app.command("import")
def import_entries(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `export` wrote.")],
    state: State = None,
    as_json: Json = False,
) -> None:
    """Set every entry of such a file; other keys stay as they are."""
    with _storage(state) as storage, working(f"importing {name}"):
        count = storage.namespace(name).import_jsonl(file)
    _print_count("imported", count, file, as_json=as_json)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make.")],
    state: State = None,
    as_json: Json = False,
) -> None:
    """Write a copy of the storage of all deployments to a new file, and compare it."""
    _check_folder(file)
    with _storage(state) as storage, working("copying"):
        if not hasattr(storage, "backup"):
            raise InvalidSetting(
                "a server has the storage open",
                hint="`airssys backup STATE FILE` takes everything from it, storage included",
            )
        copy = storage.backup(file)
    if as_json:
        print_json({"file": str(file), "entries": copy.entries, "digest": copy.digest})
    else:
        print_note(f"{copy.entries} entries in {file}, digest {copy.digest}")


def _check_folder(file: Path) -> None:
    """Name the folder that is missing, and not what would have been written in it meanwhile."""
    folder = file.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder; make it first", str(folder))


def _print_count(done: str, count: int, file: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(file), "entries": count})
    else:
        print_note(f"{done} {count} entries, {file}")
