"""The commands on keys, signatures and trust."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airssys.cli.configuration import State, state_directory
from airssys.cli.files import about, replace_file
from airssys.cli.names import connected
from airssys.cli.output import Json, print_json, print_note, print_pairs, print_table
from airssys.wasm.component_file import read_component
from airssys.wasm.trust import (
    KeyUnusable,
    Level,
    PublicKey,
    SigningKey,
    TrustStore,
    read_signatures,
    sign,
)
from airssys.wasm.trust.signature import embed, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airssys.wasm.remote.oversight import ConnectedTrust

__all__ = ["add_to"]

_PASSPHRASE = "AIRSSYS_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable

trust = typer.Typer(
    name="trust", help="Whose signatures count, and what is blocked.", no_args_is_help=True
)

Names = Annotated[
    list[str],
    typer.Option("--name", metavar="PATTERN", help="A name it counts for: 'image/*'. Repeatable."),
]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The id of a key.")]
Component = Annotated[Path, typer.Argument(metavar="FILE", help="A component.")]
Reason = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the record.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(keygen)
    app.command("sign")(sign_component)
    app.command()(verify)
    app.add_typer(trust)


def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes.")],
    *,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help=f"With a passphrase [env: {_PASSPHRASE}].")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key to sign with: FILE, for its owner alone, and FILE.pub."""
    passphrase = None
    if encrypt:
        passphrase = os.environ.get(_PASSPHRASE)
        if not passphrase and not sys.stdin.isatty():
            raise KeyUnusable("the passphrase cannot be asked for", hint=f"set {_PASSPHRASE}")
        passphrase = passphrase or str(
            typer.prompt("passphrase", hide_input=True, confirmation_prompt=True, err=True)
        )
    key = SigningKey.generate()
    try:
        key.save(file, passphrase)
    except FileExistsError as error:
        raise KeyUnusable(
            f"{error.filename} is there already and stays as it is",
            hint="name another file; no key is ever written over",
        ) from error
    if as_json:
        print_json({"key": key.public.id, "private": file, "public": f"{file}.pub"})
    else:
        print_note(f"made key {key.public.id}: {file} (keep it), {file}.pub (hand it out)")


def sign_component(
    file: Component,
    *,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What it is: image/resizer.")],
    version: Annotated[str, typer.Option("--version", metavar="SEMVER", help="Which version.")],
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, max=36500, help="How long it counts; for ever by default."),
    ] = None,
    detached: Annotated[
        bool, typer.Option("--detached", help="Into FILE.sig instead of the component.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Sign a component as a version of a name; the signature goes into the component."""
    signing = _signing_key(key)
    component = read_component(file)
    until = None
    if days is not None:
        until = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=days)
    target = file.with_name(f"{file.name}.sig") if detached else file
    with about(file):
        signature = sign(component, signing, name=name, version=version, not_after=until)
        content = encode([signature]) if detached else embed(component, signature)
    replace_file(target, content)
    if as_json:
        print_json({"file": target, "statement": signature.statement})
    else:
        print_note(f"signed {name} {version} with key {signing.public.id}: {target}")


def verify(
    file: Component,
    *,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The name it is to run under.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Trust this public key, not the store."),
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Tell who signed a component, and whether that counts; exit code 0 where it does."""
    component = read_component(file)
    beside = file.with_name(f"{file.name}.sig")
    detached = read_component(beside) if beside.is_file() else None
    with about(file):
        signatures = read_signatures(component)
    if detached is not None:
        with about(beside):
            signatures = read_signatures(component, detached)
    if name is None and signatures:
        name = signatures[0].statement.name
    if key is None:
        found = TrustStore(state_directory(state)).assess(component, name or "", detached=detached)
        trusted, reasons, version, signer = (
            found.level is Level.TRUSTED, found.reasons, found.version, found.key,
        )  # fmt: skip
    else:
        public = PublicKey.load(key)
        own = [each for each in signatures if each.statement.key == public.id]
        trusted, reasons, version, signer = False, (f"key {public.id} did not sign it",), None, None
        for each in own:
            with about(file):
                each.check(component, public, now=dt.datetime.now(dt.UTC))
            trusted, reasons = each.statement.name == name, (f"it is '{each.statement.name}'",)
            version, signer = each.statement.version, public.id
    if as_json:
        print_json(
            {"trusted": trusted, "name": name, "version": version, "key": signer,
             "reasons": [] if trusted else reasons}
        )  # fmt: skip
    elif trusted:
        print_note(f"{file} is {name} {version}, signed by key {signer}")
    else:
        print_note(f"{file} is not trusted as {name or 'anything'}: {'; '.join(reasons)}")
    return 0 if trusted else 1


@trust.command("add")
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A public key.")],
    *,
    name: Names,
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Whose it is.")] = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Let the signatures of a key count for some names."""
    public = PublicKey.load(file)
    with _store(state) as store:
        store.trust(public, tuple(name), comment=comment)
    if as_json:
        print_json({"key": public.id, "names": name})
    else:
        print_note(f"key {public.id} counts for {', '.join(name)}")


@trust.command("list")
def list_keys(*, state: State = None, as_json: Json = False) -> None:
    """Show the keys and what is blocked."""
    with _store(state) as store:
        if isinstance(store, TrustStore):
            keys, blocked = store.keys(), store.blocked()
        else:
            found = store.state()
            keys, blocked = found.keys, found.blocked
    if as_json:
        print_json({"keys": keys, "blocked": blocked})
        return
    if keys:
        print_table(
            ("key", "counts for", "whose", "state"),
            (
                (
                    name,
                    ", ".join(key.names),
                    key.comment,
                    f"revoked: {key.why}" if key.revoked else "trusted",
                )
                for name, key in keys.items()
            ),
        )
    else:
        print_note("no key counts for anything; `airssys trust add FILE --name PATTERN` adds one")
    print_pairs((f"blocked {digest}", each.why) for digest, each in blocked.items())


@trust.command()
def floor(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name, as image/resizer.")],
    version: Annotated[str, typer.Argument(metavar="SEMVER", help="The lowest it may have.")],
    *,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Let a name have no version below this one, not even by a rollback."""
    with _store(state) as store:
        store.set_floor(name, version)
    if as_json:
        print_json({"name": name, "floor": version})
    else:
        print_note(f"{name} stays at {version} or above")


@trust.command()
def revoke(key: Key, *, why: Reason, state: State = None, as_json: Json = False) -> None:
    """Let a key's signatures count no more; what only it signed is blocked."""
    with _store(state) as store:
        store.revoke(key, why)
    if as_json:
        print_json({"revoked": key})
    else:
        print_note(f"key {key} is revoked")


@trust.command()
def block(file: Component, *, why: Reason, state: State = None, as_json: Json = False) -> None:
    """Let a component not run, whoever signed it."""
    with about(file), _store(state) as store:
        digest = store.block(read_component(file), why)
    if as_json:
        print_json({"blocked": digest})
    else:
        print_note(f"blocked {digest}")


@contextlib.contextmanager
def _store(state: Path | None) -> Iterator[TrustStore | ConnectedTrust]:
    """Use the trust of the host that is served, else that of the state directory."""
    host = connected(state)
    if host is None:
        yield TrustStore(state_directory(state))
        return
    with host:
        yield host.trust


def _signing_key(path: Path) -> SigningKey:
    passphrase = os.environ.get(_PASSPHRASE)
    try:
        return SigningKey.load(path, passphrase)
    except KeyUnusable as error:
        if passphrase is not None or "needs a passphrase" not in error.message:
            raise
    if not sys.stdin.isatty():
        raise KeyUnusable(f"the private key {path} needs a passphrase", hint=f"set {_PASSPHRASE}")
    return SigningKey.load(path, str(typer.prompt("passphrase", hide_input=True, err=True)))
