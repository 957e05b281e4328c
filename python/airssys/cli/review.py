"""The review of a component that asks for more than its deployment was granted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from airssys.cli.output import escaped, print_json, print_note
from airssys.wasm.security.errors import ApprovalNeeded

if TYPE_CHECKING:
    from airssys.wasm.security.review import Review

__all__ = ["may_be_granted"]


def may_be_granted(review: Review, *, as_json: bool) -> bool:
    """Return whether what is missing is to be granted, asking the person at the terminal.

    Raises:
        ApprovalNeeded: There is nobody to ask, or the person said no.
    """
    if not review.missing:
        return False
    if review.at_once:
        return True
    places = [each.place for each in review.missing]
    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        if as_json:
            print_json({"deployment": review.deployment, "review": review})
        else:
            _show(review)
        raise ApprovalNeeded(review.deployment, places)
    _show(review)
    if not typer.confirm(escaped(f"grant {review.deployment} all that it asks for?"), err=True):
        raise ApprovalNeeded(review.deployment, places)
    return True


def _show(review: Review) -> None:
    signed = (
        "signed by a trusted key" if review.level == "trusted" else "not signed by a trusted key"
    )
    print_note(f"{review.deployment} ({signed}) asks for:")
    for each in review.requests:
        mark = {"granted": " ", "partly": "~", "not": "+"}[each.state]
        reason = f"  ({each.reason})" if each.reason else ""
        print_note(f"  {mark} {each.place}: {','.join(each.access)} {each.target}{reason}")
    if review.approved is None:
        print_note("nobody has approved anything for it yet")
    else:
        when = f"{review.approved.at.astimezone():%Y-%m-%d %H:%M}"
        print_note(f"since {review.approved.who} approved it last, {when}:")
        for sign, changed in (("+", review.added), ("-", review.removed)):
            for words in changed:
                print_note(f"  {sign} {words}")
        if not (review.added or review.removed):
            print_note("  it asks for the same")
    for danger in review.dangers:
        print_note(f"look twice: {danger}")
