"""Write `docs/reference/api/` from the operations of the control API.

Usage: `python tools/api_reference.py [--check]`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from written_pages import write_or_check

from airssys.server.application import OPERATIONS
from airssys.server.openapi import describe, describing
from airssys.server.principals import ROLES
from airssys.wasm.remote.values import MEDIA_TYPE

if TYPE_CHECKING:
    from airssys.server.operation import Operation

DIRECTORY = Path(__file__).resolve().parent.parent / "docs" / "reference" / "api"

INTRODUCTION = f"""\
# The control API

What `airssys serve` answers, by HTTP/1.1, on `control.sock` in the state directory and on further
addresses that `--control` names. [Run a server](../../guides/running-a-server.md) tells how to use
it; [openapi.json](openapi.json), which the server gives at `/v1/openapi.json` too, has the fields
of everything (OpenAPI 3.1). This page is written by `tools/api_reference.py` from the operations
themselves.

**Paths.** The slashes of a deployment's name stand as they are, and a verb follows after a colon,
which no name contains: `/v1/deployments/image/resizer:rollback`. What `v1` offers may grow; what is
there keeps its meaning.

**Who asks.** On a socket the kernel says who is at the other end. On TCP every request carries
`authorization: Bearer TOKEN`. Each operation needs a role:
{", ".join(f"`{role}`" for role in ROLES)}. A request whose `Host` is not a name of the server, or
with the `Origin` of another site, is refused.

**Content** is JSON. A call takes and returns packed values too (`{MEDIA_TYPE}`), which
lose nothing: MessagePack of `[types, value]`, where extension 1 is a tuple, 2 `Some`, 3 `Ok`,
4 `Err`, and 5 `[type, case, members]` a record, variant, enum or flags. A request is
`[function, arguments, named arguments]`, its answer `Ok(result)` or `Err(error)`.

**Failures** are problem documents (RFC 9457, `application/problem+json`): `status`, `title` (the
class in Python), `detail`, `code`, `hint`, and `attributes` with what else is known.

**Events** are server-sent events. Each listener has room for 256 events that it has not read yet;
`event: gap` says how many are missing where it was slower. The last 1000 are kept: `last-event-id`,
or `after`, goes on after one.

| operation | role | what it does |
| --- | --- | --- |
"""


def page() -> str:
    """Compose the page."""
    rows = [_row(each) for each in (*OPERATIONS, describing(OPERATIONS))]
    return INTRODUCTION + "".join(rows)


def _row(operation: Operation) -> str:
    role = "" if operation.role is None else f"`{operation.role}`"
    query = f" Query: {', '.join(f'`{name}`' for name in operation.query)}." * bool(operation.query)
    return f"| `{operation.method} {operation.path}` | {role} | {operation.summary}{query} |\n"


if __name__ == "__main__":
    document = json.dumps(describe(OPERATIONS), indent=1, sort_keys=True) + "\n"
    pages = {DIRECTORY / "README.md": page(), DIRECTORY / "openapi.json": document}
    sys.exit(write_or_check(pages, __doc__ or ""))
