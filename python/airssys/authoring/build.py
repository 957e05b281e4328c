"""From a project to its component."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import time
from typing import TYPE_CHECKING, Any

from airssys.authoring.places import cache, locked, put, scratch, silent
from airssys.authoring.project import MANIFEST, Project, output_of
from airssys.authoring.stamps import fresh_report, inputs, keep_stamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airssys.authoring.wit import World

__all__ = ["Built", "build"]


@dataclasses.dataclass(frozen=True, slots=True)
class Built:
    """A component that was built.

    Attributes:
        component: The file.
        name: The name that its manifest gives it.
        digest: `sha256:…` of the file.
        size: Its bytes.
        seconds: How long its build took.
        parts: The bytes of its largest parts, by what they are.
        changed: Whether it was built now; false where its sources had not changed.
    """

    component: Path
    name: str
    digest: str
    size: int
    seconds: float
    parts: dict[str, int]
    changed: bool


def build(folder: Path, *, force: bool = False, say: Callable[[str], None] = silent) -> Built:
    """Build the component of a project, unless it is what the sources give already.

    Builds of one project wait for each other. What fails, or is interrupted, leaves the component
    that was there, and nothing half-written.

    Args:
        folder: The project.
        force: Build in any case.
        say: Told what takes its time.

    Raises:
        NoProject: There is no project in the folder, or it lacks its source.
        ManifestError: Its `Component.toml` cannot be used.
        WitError: Its WIT cannot be used; names file, line and column.
        ToolchainMissing: What compiles its language is missing; the hint says how to get it.
        BuildFailed: The compiler refused the source; its words are notes.
    """
    output = output_of(folder)
    if not force and (report := fresh_report(folder, output)) is not None:
        return _built(output, report, changed=False)
    with locked(folder / "build", "another build of this project", say, ".lock"):
        # Another build may have done it meanwhile.
        if not force and (report := fresh_report(folder, output)) is not None:
            return _built(output, report, changed=False)
        return _build(Project.at(folder), say, force=force)


def _build(project: Project, say: Callable[[str], None], *, force: bool) -> Built:
    from airssys.authoring.contract import complete  # noqa: PLC0415 - see `stamps`
    from airssys.authoring.kept import keep, kept, key_of  # noqa: PLC0415
    from airssys.authoring.sizes import parts_of  # noqa: PLC0415
    from airssys.authoring.wit import world_of  # noqa: PLC0415
    from airssys.wasm.manifest import embed_manifest  # noqa: PLC0415

    started = time.monotonic()
    complete(project.wit)
    world = world_of(project.wit, project.world)
    files = inputs(project.folder)
    output = project.output
    say(f"building {project.name} ({project.language})")
    key = key_of(project, files, _toolchain(project))
    own = project.manifest.build.command  # what it depends on besides is not known
    content = None if force or own else kept(key, project)
    if content is None:
        with scratch(output.parent) as making:
            made = making / "component.wasm"
            _compile(project, world, made, say)
            content = embed_manifest(made.read_bytes(), project.manifest)
        # Not where it was edited meanwhile.
        if not own and files.items() <= inputs(project.folder).items():
            keep(key, project, content)
    put(content, output)
    report = {
        "name": project.name,
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "size": len(content),
        "seconds": round(time.monotonic() - started, 3),
        "parts": parts_of(content),
    }
    # What a compiler writes itself, such as its lock file, is no edit.
    keep_stamp(output, project.language, inputs(project.folder) | files, report)
    return _built(output, report, changed=True)


def _compile(project: Project, world: World, output: Path, say: Callable[[str], None]) -> None:
    """Compile by the way of the language, or by the project's own command."""
    if project.manifest.build.command:
        from airssys.authoring.languages import own  # noqa: PLC0415

        own.build(project.manifest.build.command, project.folder, project.wit, world.name, output)
        return
    match project.language:
        case "rust":
            from airssys.authoring.languages import rust  # noqa: PLC0415

            rust.need_target(say)
            with locked(cache() / "rust", "another build of Rust", say):
                target = cache() / "rust" / "target"
                built = rust.build(project.folder, target)
                shutil.copyfile(_component_of(project, built), output)
        case "python":
            from airssys.authoring.languages import python  # noqa: PLC0415

            _need(project, "app.py")
            python.build(project.folder, project.wit, output, world=world.name, say=say)
        case "javascript" | "typescript":
            from airssys.authoring.languages import javascript  # noqa: PLC0415

            source = _need(project, "app.ts" if project.language == "typescript" else "app.js")
            javascript.build(source, project.wit, output, world=world, say=say)
        case "c":
            from airssys.authoring.languages import c  # noqa: PLC0415

            c.build(project.folder, project.wit, output, world=world, say=say)


def _toolchain(project: Project) -> str:
    """Name the compiler of a project's language."""
    if project.manifest.build.command:
        return project.manifest.build.command
    match project.language:
        case "rust":
            from airssys.authoring.languages.rust import toolchain  # noqa: PLC0415
        case "python":
            from airssys.authoring.languages.python import toolchain  # noqa: PLC0415
        case "javascript" | "typescript":
            from airssys.authoring.languages.javascript import toolchain  # noqa: PLC0415
        case "c":
            from airssys.authoring.languages.c import toolchain  # noqa: PLC0415
    return toolchain()


def _component_of(project: Project, built: dict[Path, Path]) -> Path:
    from airssys.authoring.errors import BuildFailed  # noqa: PLC0415

    for folder, file in built.items():
        if folder.resolve() == project.folder.resolve():
            return file
    raise BuildFailed(
        f"{project.folder / 'Cargo.toml'} gives no component",
        hint='a component is a library with [lib] crate-type = ["cdylib"]',
    )


def _need(project: Project, name: str) -> Path:
    from airssys.authoring.errors import NoProject  # noqa: PLC0415

    file = project.folder / name
    if not file.is_file():
        raise NoProject(
            f"{project.folder} has no {name}",
            hint=f"{MANIFEST} says that it is written in {project.language}: begin it there",
        )
    return file


def _built(output: Path, report: dict[str, Any], *, changed: bool) -> Built:
    return Built(
        component=output,
        name=report["name"],
        digest=report["digest"],
        size=report["size"],
        seconds=report["seconds"],
        parts=report["parts"],
        changed=changed,
    )
