"""Who may do what over the control API."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import os
import pwd
import re
import stat
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from airssys.osl import Principal as ActingPrincipal
from airssys.osl.regular_file import read_regular_with
from airssys.wasm.host_errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["ROLES", "Access", "Principal", "Role", "read_roles", "read_tokens"]

Role = Literal["read", "call", "deploy", "approve"]
#: `read` looks at everything; `call` calls and sends messages; `deploy` deploys, rolls back,
#: removes, locks and collects; `approve` grants, revokes, answers for a person, stops and revives
#: every guest, and takes backups, which hold the keys.
ROLES: Final[tuple[Role, ...]] = get_args(Role)

#: Characters of the shortest token that is taken.
_SHORTEST: Final = 20
# Bytes of a file of tokens.
_MOST: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9_.@/-]{1,64}")


@dataclasses.dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as the server knows it.

    Attributes:
        name: For the history and the audit log.
        roles: What it may do.
    """

    name: str
    roles: frozenset[Role]

    def acting(self) -> ActingPrincipal:
        """Return it as the audit log has it."""
        return ActingPrincipal(self.name, roles=frozenset(self.roles))


class Access:
    """Who is known: users at the other end of a socket, and tokens.

    The user of this process, and nobody else, has every role by default.

    Args:
        users: Roles by user, by name or number; they replace the default of the own user.
        tokens: Who has which token.

    Raises:
        InvalidSetting: There is no such user.
    """

    def __init__(
        self,
        users: Mapping[str, Iterable[Role]] | None = None,
        tokens: Mapping[str, Principal] | None = None,
    ) -> None:
        self._users = {os.getuid(): frozenset(ROLES)}
        for user, roles in (users or {}).items():
            self._users[_number(user)] = frozenset(roles)
        # Only digests are kept and compared, so that no comparison tells anything of a token.
        self._tokens = {_digest(token): who for token, who in (tokens or {}).items()}

    @property
    def others(self) -> bool:
        """Whether users besides that of this process are let in."""
        return bool(self._users.keys() - {os.getuid()})

    @property
    def has_tokens(self) -> bool:
        """Whether anybody is known by a token."""
        return bool(self._tokens)

    def of_user(self, number: int) -> Principal | None:
        """Return who the user at the other end of a socket is; None for a stranger."""
        roles = self._users.get(number)
        return None if roles is None else Principal(_name(number), roles)

    def of_token(self, token: str) -> Principal | None:
        """Return whose token it is; None for nobody's. Takes as long for every token."""
        given, found = _digest(token), None
        for known, who in self._tokens.items():
            if hmac.compare_digest(given, known):
                found = who
        return found


def read_roles(text: str, where: str) -> frozenset[Role]:
    """Read roles with commas between them.

    Raises:
        InvalidSetting: One is no role.
    """
    roles = [role.strip() for role in text.split(",") if role.strip()]
    for role in roles:
        if role not in ROLES:
            raise InvalidSetting(
                f"{where}: {role!r} is no role", hint=f"there are {', '.join(ROLES)}"
            )
    return frozenset(cast("list[Role]", roles))


def read_tokens(path: Path) -> dict[str, Principal]:
    """Read a file of tokens: one a line, then a name and roles with commas, if it has fewer.

    Empty lines, and those that begin with `#`, say nothing.

    Raises:
        InvalidSetting: Others may read the file, or a line is wrong.
        OSError: It cannot be read.
    """
    content, found = read_regular_with(path, _MOST)
    if found.st_uid not in {0, os.getuid()}:
        raise InvalidSetting(f"token file {path} is no file of yours", hint="make it yourself")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise InvalidSetting(
            f"others than its owner can use token file {path}", hint=f"chmod 600 {path}"
        )
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise InvalidSetting(f"token file {path} is not UTF-8", hint="save it as UTF-8") from error
    tokens: dict[str, Principal] = {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        token, name, roles = (*words, *("token", ",".join(ROLES))[len(words) - 1 :])[:3]
        if len(words) > 3 or len(token) < _SHORTEST or not _NAME.fullmatch(name):
            raise InvalidSetting(
                f"{path}, line {number}: expected a token of {_SHORTEST} characters or more, "
                "a name, and roles with commas between them",
                hint="python -c 'import secrets; print(secrets.token_urlsafe())' makes a token",
            )
        tokens[token] = Principal(name, read_roles(roles, f"{path}, line {number}"))
    if not tokens:
        raise InvalidSetting(f"token file {path} holds no token", hint="write one a line")
    return tokens


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _number(user: str) -> int:
    if user.isdigit():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise InvalidSetting(f"there is no user {user!r}", hint="as in /etc/passwd") from None


def _name(number: int) -> str:
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid-{number}"
    return name if _NAME.fullmatch(name) else f"uid-{number}"
