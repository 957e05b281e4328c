"""Finding revisions by what is known of them."""

from __future__ import annotations

import dataclasses
import fnmatch
from typing import TYPE_CHECKING

from airssys.wasm.delivery.dependencies import in_range
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.revision import Revision  # noqa: TC001 - read when decoding

if TYPE_CHECKING:
    from airssys.wasm.registry import Registry

__all__ = ["FoundRevision", "RevisionQuery", "find_revisions"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RevisionQuery:
    """What revisions are looked for; each part that is given narrows it.

    Attributes:
        text: Words that all occur in the name, what the manifest says (description, keywords,
            authors, license, repository, version), who deployed it or why; in any case.
        name: The deployment: `image/resizer`, or a pattern as `image/*`.
        digest: The component, or the beginning of its digest, with or without `sha256:`.
        version: A range that the version is in: `^1.2`.
        signer: The key that signed it, or the beginning of its fingerprint.
        who: Who deployed it.
        live: Only what is live.
    """

    text: str = ""
    name: str = ""
    digest: str = ""
    version: str = ""
    signer: str = ""
    who: str = ""
    live: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FoundRevision:
    """A revision and whose it is.

    Attributes:
        deployment: Its name.
        live: Whether the revision is the live one.
        revision: What is on record.
    """

    deployment: str
    live: bool
    revision: Revision


def find_revisions(registry: Registry, query: RevisionQuery) -> tuple[FoundRevision, ...]:
    """Return the revisions that a query is about, by deployment and number.

    Raises:
        InvalidSetting: The range of versions is none.
    """
    if query.version:
        try:
            in_range("1.0.0", query.version)
        except ValueError as error:
            raise InvalidSetting(str(error)) from None
    found = []
    for deployment in registry.deployments():
        if query.name and not fnmatch.fnmatchcase(deployment.name, query.name):
            continue
        for revision in registry.revisions(deployment.name):
            live = revision.number == deployment.live
            if (live or not query.live) and _matches(deployment.name, revision, query):
                found.append(
                    FoundRevision(deployment=deployment.name, live=live, revision=revision)
                )
    return tuple(found)


def _matches(name: str, revision: Revision, query: RevisionQuery) -> bool:
    about = revision.about
    said = (
        name,
        about.version,
        about.description,
        about.license,
        about.repository,
        *about.keywords,
        *about.authors,
        revision.who,
        revision.why,
    )
    text = "\n".join(said).casefold()
    return (
        all(word in text for word in query.text.casefold().split())
        and revision.digest.removeprefix("sha256:").startswith(query.digest.removeprefix("sha256:"))
        and (revision.signer or "").startswith(query.signer)
        and query.who in ("", revision.who)
        and (not query.version or (about.version != "" and in_range(about.version, query.version)))
    )
