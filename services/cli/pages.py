"""Listings that come in pages, read to their end."""

from collections.abc import Callable
from typing import Any, TypeVar

from services.cli.screen import note

Page = TypeVar("Page", bound=Any)


def whole(ask: Callable[[Any], Page], request: Any, place: str) -> Page:
    """One answer with what all pages hold.

    `place`: the field of the request that says where the next page begins; the field of the answer
    that tells it has `next_` before its name, and is 0 or empty on the last page.
    """
    found = ask(request)
    following = getattr(found, f"next_{place}")
    while following:
        setattr(request, place, following)
        page = ask(request)
        following = getattr(page, f"next_{place}")
        page.ClearField(f"next_{place}")
        found.MergeFrom(page)
    found.ClearField(f"next_{place}")
    return found


def since_the_first(ask: Callable[[Any], Page], request: Any, items: str, place: str) -> Page:
    """One answer with all of a listing, newest first, whose answers do not say that there is more.

    `items`: the field of the answer that holds them. Each has a number that the field `place` of
    the request, before_NUMBER, takes: the next page is of those below it.
    """
    found = ask(request)
    last = getattr(found, items)
    while last:
        setattr(request, place, getattr(last[-1], place.removeprefix("before_")))
        page = ask(request)
        last = getattr(page, items)
        found.MergeFrom(page)
    return found


def note_if_more(shown: int, next_page_token: str) -> None:
    """That a listing, newest first, was not shown to its end."""
    if next_page_token:
        note(f"these are the newest {shown:,}: there are more, which --limit shows")
