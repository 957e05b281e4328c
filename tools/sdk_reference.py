"""Write `docs/reference/guest-libraries.md` from what the guest libraries say of themselves.

Usage: `python tools/sdk_reference.py [--check]`.
"""

from __future__ import annotations

import importlib
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from reference import entry
from written_pages import write_or_check

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
SDK = ROOT / "sdk"
OUTPUT = ROOT / "docs" / "reference" / "guest-libraries.md"
HEAD = """\
# Guest libraries

What components are written with: `airssys_component` in Python, `airssys-component` in Rust,
JavaScript and TypeScript, `airssys.h` in C. `airssys build` provides them, and
[author components](../guides/authoring.md) shows them at work. Written by
`tools/sdk_reference.py` from their documentation comments.
"""
RUST_ITEM = re.compile(
    r"(?P<docs>(?:^[ ]*///.*\n)*)(?P<marks>(?:^[ ]*#\[.*\]\n)*)"
    r"^(?:pub (?P<kind>fn|struct|enum|trait|type) (?P<name>\w+)|macro_rules! (?P<macro>\w+))",
    re.MULTILINE,
)
RUST_MEMBER = re.compile(
    r"(?P<docs>(?:^    ///[^\n]*\n)+)(?P<item>^    (?:fn|type|const) .*?[;{])",
    re.MULTILINE | re.DOTALL,
)
SCRIPT_ITEM = re.compile(
    r"(?:^/\*\*(?P<docs>(?:(?!\*/).)*)\*/\n)?"
    r"^(?P<item>export (?:declare )?(?P<kind>class|interface|type|const|function) (?P<name>\w+))",
    re.MULTILINE | re.DOTALL,
)


def page() -> str:
    """Compose the page."""
    python = importlib.import_module("airssys_component")
    parts = [HEAD, "## Python\n"]
    parts += [entry(python, name) for name in python.__all__]
    parts += ["## Rust\n", *_rust(), "## JavaScript and TypeScript\n", *_script(), "## C\n", *_c()]
    return "\n".join(parts).rstrip("\n") + "\n"


def _rust() -> Iterator[str]:
    """Yield what `lib.rs` lets out, and the macros."""
    text = (SDK / "rust" / "src" / "lib.rs").read_text("utf-8")
    uses = re.findall(r"^pub use \w+::\{?([^;}]+)\}?;", text, re.MULTILINE)
    public = {name.strip() for each in uses for name in each.split(",")}
    for file in sorted((SDK / "rust" / "src").glob("*.rs")):
        source = file.read_text("utf-8")
        for found in RUST_ITEM.finditer(source):
            macro = found["macro"] is not None and "macro_export" in found["marks"]
            if "doc(hidden)" in found["marks"] or not (macro or found["name"] in public):
                continue
            rest = source[found.start() + len(found["docs"]) + len(found["marks"]) :]
            docs = _comment(found["docs"], "///")
            if macro:
                yield _item(f"{found['macro']}!", docs, _arms(rest), "rust")
                continue
            shown = _declared(rest, whole=found["kind"] in {"enum", "struct"})
            yield _item(found["name"], docs, shown, "rust")
            if found["kind"] == "trait":
                for member in RUST_MEMBER.finditer(rest[: rest.index("\n}\n")]):
                    item = textwrap.dedent(member["item"]).rstrip("{").strip()
                    name = re.split(r"[(:;<]", item.removeprefix("fn ").removeprefix("type "))[0]
                    text = _comment(textwrap.dedent(member["docs"]), "///")
                    yield _item(name.removeprefix("const ").strip(), text, item, "rust", level=4)


def _arms(text: str) -> str:
    """Return how a macro is called."""
    name = text.partition("!")[2].split()[0]
    arms = re.findall(r"^    \((.*)\) => \{", text[: text.index("\n}\n")], re.MULTILINE)
    called = (re.sub(r"[$](\w+):\w+", r"\1", arm) for arm in arms)
    return "\n".join(f"{name}!({arguments});" for arguments in called)


def _declared(text: str, *, whole: bool) -> str:
    """Return a declaration up to its body, or with it."""
    end = re.search(r"^\}|;$" if whole else r"\s*[{;]", text, re.MULTILINE)
    assert end is not None
    return text[: end.end() if whole else end.start()]


def _script() -> Iterator[str]:
    """Yield what `index.d.ts` exports and explains."""
    source = (SDK / "javascript" / "src" / "index.d.ts").read_text("utf-8")
    for found in SCRIPT_ITEM.finditer(source):
        rest = source[found.start("item") :]
        block = found["kind"] in {"class", "interface"}
        ends = re.finditer(r"\{\}$|^\}" if block else r";$", rest, re.MULTILINE)
        end = next(each.end() for each in ends if _balanced(rest[: each.end()]))
        docs = _comment(found["docs"] or "", "*")
        docs = re.sub(r"^@param (\w+) ", r"- `\1`: ", docs, flags=re.MULTILINE)
        docs = re.sub(r"^@throws ", "\nThrows ", docs, flags=re.MULTILINE)
        docs = docs.replace("\n\n\n", "\n\n")
        yield _item(found["name"], docs, rest[:end].removeprefix("export "), "ts")


def _c() -> Iterator[str]:
    """Yield the sections of `airssys.h`, whose comments stand beside what they explain."""
    source = (SDK / "c" / "airssys.h").read_text("utf-8")
    head, *sections = re.split(r"^// --- (.*?) -+$", source, flags=re.MULTILINE)
    yield _comment(head.partition("\n\n#")[0], "//") + "\n"
    for title, text in zip(sections[::2], sections[1::2], strict=True):
        yield _item(title, "", text.removesuffix("#endif\n").strip(), "c").replace("`", "", 2)


def _balanced(text: str) -> bool:
    return text.count("{") == text.count("}")


def _comment(text: str, mark: str) -> str:
    """Return the text of a documentation comment; its own headings become emphasis."""
    bare = (line.strip().removeprefix(mark).removeprefix(" ") for line in text.splitlines())
    joined = "\n".join(line.rstrip() for line in bare).strip()
    return re.sub(r"^#+ (.*)$", r"*\1*\n", joined, flags=re.MULTILINE)


def _item(name: str, docs: str, shown: str, language: str, *, level: int = 3) -> str:
    code = f"```{language}\n{shown}\n```"
    return "\n\n".join([f"{'#' * level} `{name}`", *filter(None, [docs]), code]) + "\n"


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "python"), str(SDK / "python")]
    sys.exit(write_or_check({OUTPUT: page()}, __doc__ or ""))
