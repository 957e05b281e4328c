"""What the content of a revision is that is a script: source text in the form of a component.

It is an empty component with the script in a custom section, so that whatever holds for the content
of revisions holds for scripts: digests, manifests, signatures, storing, sending.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from airssys.wasm.errors import ComponentTooLarge, InvalidComponent
from airssys.wasm.sections import custom_sections, with_section

__all__ = ["LARGEST", "Language", "Script"]

Language = Literal["python", "javascript"]

#: The most bytes of a script's source.
LARGEST: Final = 1 << 20
_SECTION: Final = "airssys-script"
_EMPTY: Final = b"\0asm\x0d\x00\x01\x00"
_NUL: Final = "\0"


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A script, and what runs it.

    Attributes:
        language: What it is written in.
        loader: The digest of the component that runs it: `sha256:…`.
        file: The name of its file, for errors.
        source: The text.
    """

    language: Language
    loader: str
    file: str
    source: str

    def packed(self) -> bytes:
        """Return it as the content of a revision.

        Raises:
            ComponentTooLarge: It has more than 1 MiB.
            InvalidComponent: There is a NUL in it.
        """
        self._check()
        return with_section(_EMPTY, _SECTION, msgspec.json.encode(self, order="deterministic"))

    @classmethod
    def found_in(cls, content: bytes) -> Script | None:
        """Return the script that is the content of a revision; None where that is a component.

        Raises:
            InvalidComponent: It is neither.
            ComponentTooLarge: It has more than 1 MiB.
        """
        if not content.startswith(_EMPTY):
            return None  # text, or what the compiler refuses best
        found = custom_sections(content, _SECTION) if _may_be(content) else []
        if not found:
            return None
        try:
            script = msgspec.json.decode(found[0].content, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidComponent(f"what should be a script is none: {error}") from error
        script._check()  # noqa: SLF001
        return script

    def _check(self) -> None:
        size = len(self.source.encode())
        if size > LARGEST:
            raise ComponentTooLarge(
                f"{self.file} has {size} bytes; a script has {LARGEST} at most",
                what="bytes",
                found=size,
                most=LARGEST,
            )
        if _NUL in self.source or _NUL in self.file:
            raise InvalidComponent(f"{self.file} is no script: there is a NUL in it")


def _may_be(content: bytes) -> bool:
    """Return whether a component begins with a custom section of the name of scripts."""
    return content.find(_SECTION.encode(), len(_EMPTY), len(_EMPTY) + 32) >= 0
