"""One-line advice on a token: what it lacks, when it expires, and who must do what. Pure: no calls, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from airflow_provider_metaconv.graph.auth import PageIdentity
from airflow_provider_metaconv.graph.token import NEVER, PAGE, SYSTEM_USER, USER, TokenInfo
from airflow_provider_metaconv.schema import INSTAGRAM, MESSENGER

NEEDED_PERMISSIONS: dict[str, tuple[str, ...]] = {
    MESSENGER: ("pages_messaging", "pages_manage_metadata", "pages_read_engagement"),
    INSTAGRAM: ("instagram_manage_messages", "instagram_basic", "pages_manage_metadata"),
}
"""The permissions that Meta documents for reading conversations. Without the first one, nothing can be read.

Source: https://developers.facebook.com/docs/graph-api/reference/page/conversations/
"""

_KINDS = {PAGE: "Page token", USER: "user token", SYSTEM_USER: "system user token"}
_SHOWN = 5


def lacking(info: TokenInfo, platform: str) -> tuple[str, ...]:
    """Return the permissions that a token lacks for a platform's conversations; none if Meta does not report them."""
    if info.permissions is None:
        return ()
    return tuple(name for name in NEEDED_PERMISSIONS[platform] if name not in info.permissions)


def readable_platforms(info: TokenInfo, page: PageIdentity) -> tuple[str, ...]:
    """Return a Page's platforms that the token's permissions and its user's tasks allow it to read. Makes no call."""
    if page.lacks_messages_task:
        return ()
    names = [MESSENGER] if page.instagram_account_id is None else [MESSENGER, INSTAGRAM]
    return tuple(name for name in names if _covers(info, NEEDED_PERMISSIONS[name][0], page))


def describe(info: TokenInfo, found: Sequence[PageIdentity], now: datetime) -> tuple[bool, str]:
    """Return whether the token can read any Page, and all that is known of it, in one line."""
    reads = any(readable_platforms(info, page) for page in found)
    sentences = [
        f"This is the {_named(info)}.",
        _pages_sentence(info, found),
        _lacks_sentence(info),
        *_gap_sentences(info, found),
        _ends_sentence(info, now),
    ]
    return reads, " ".join(sentences)


def ending_soon(info: TokenInfo, now: datetime, warn_before: timedelta) -> str | None:
    """Return who must do what if the token or its data access expires within ``warn_before``, otherwise None."""
    ends = [
        (f"{what} {_when(at, now)}", advice)
        for what, at, advice in (
            ("expires", info.expires_at, _renewal(info)),
            ("loses access to its data", info.data_access_expires_at, _new_login(info)),
        )
        if at is not None and at - now <= warn_before
    ]
    if not ends:
        return None
    what, advice = ends[0]
    also = f" and {ends[1][0]}" if len(ends) > 1 else ""
    return f"The {_named(info)} {what}{also}: {advice}"


def end_unknown(info: TokenInfo) -> str | None:
    """Return what to do if Meta does not report when the token expires, otherwise None."""
    if info.expires_at is not None:
        return None
    return (
        f"Meta does not report when the {_named(info)} expires. It reports this only to the app that issued the token: "
        "set app_secret in the connection's extra to the secret of that app."
    )


def _named(info: TokenInfo) -> str:
    kind = _KINDS.get(info.kind or "", "user or system user token")
    app = f", app {_plain(info.app)}" if info.app else ""
    return f"{kind} of {_plain(info.owner) or 'an unnamed account'} (id {info.owner_id}{app})"


def _plain(name: str) -> str:
    # Users choose these names, and a line break in one would split the line.
    return " ".join(name.split())


def _covers(info: TokenInfo, permission: str, page: PageIdentity) -> bool:
    if info.permissions is not None and permission not in info.permissions:
        return False
    targets = info.targets.get(permission)
    return targets is None or not targets.isdisjoint(page.own_ids)


def _pages_sentence(info: TokenInfo, found: Sequence[PageIdentity]) -> str:
    if not found:
        return (
            "It sees no Page: its user needs the Messages task on one (Page settings, Page access), and the app "
            "pages_show_list, and business_management for a Page that a business owns."
        )
    named = [
        f"{_page(page)[:-1]}: {' and '.join(names)})" for page in found if (names := readable_platforms(info, page))
    ]
    pages = f"{len(named) or len(found)} Page{'s' if len(named or found) > 1 else ''}"
    return f"It can read {pages}: {_first(named)}." if named else f"It sees {pages} but can read none."


def _gap_sentences(info: TokenInfo, found: Sequence[PageIdentity]) -> list[str]:
    gaps = (
        (
            "Its user lacks the Messages task (Page settings, Page access) on",
            [page for page in found if page.lacks_messages_task],
        ),
        (
            "Its permissions were granted for some Pages only: create it again and also choose",
            [page for page in found if _is_left_out(info, page)],
        ),
        (
            "No linked Instagram account exists, or is visible, for",
            [page for page in found if page.instagram_account_id is None],
        ),
    )
    return [f"{says} {_first([_page(page) for page in pages])}." for says, pages in gaps if pages]


def _is_left_out(info: TokenInfo, page: PageIdentity) -> bool:
    granted = [names[0] for names in NEEDED_PERMISSIONS.values() if names[0] in (info.permissions or ())]
    return bool(granted) and not any(_covers(info, name, page) for name in granted)


def _page(page: PageIdentity) -> str:
    return f"{_plain(page.name)} (id {page.page_id})"


def _lacks_sentence(info: TokenInfo) -> str:
    if info.permissions is None:
        return "Meta does not report its permissions."
    lacks = [
        f"{', '.join(names)} for {platform}" for platform in NEEDED_PERMISSIONS if (names := lacking(info, platform))
    ]
    if not lacks:
        return "It has the permissions for both platforms."
    return f"It lacks {' and '.join(lacks)}: create it again with the permissions that you need."


def _ends_sentence(info: TokenInfo, now: datetime) -> str:
    if info.expires_at is None and info.data_access_expires_at is None:
        return "Meta does not report when it expires; it may with the right app_secret in the connection's extra."
    if info.expires_at == info.data_access_expires_at == NEVER:
        return "It never expires, nor does its access to data."
    return (
        f"It expires {_when(info.expires_at, now)}; its access to data ends {_when(info.data_access_expires_at, now)}."
    )


def _when(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "at a time that Meta does not report"
    if at == NEVER:
        return "never"
    days = (at - now).days
    distance = f"in {days} day{'' if days == 1 else 's'}" if days > 0 else "within a day" if at > now else "already"
    return f"on {at:%Y-%m-%d %H:%M} UTC ({distance})"


def _renewal(info: TokenInfo) -> str:
    stored = "and store it as the connection's password."
    if info.kind == SYSTEM_USER:
        return f"an admin of its business must generate a new token for this system user (Business settings) {stored}"
    if info.kind == PAGE:
        return f"a person with a role on the Page must create a new Page token from a long-lived user token {stored}"
    return f"this user must log in to the app again to create a new long-lived token {stored}"


def _new_login(info: TokenInfo) -> str:
    if info.kind == SYSTEM_USER:
        return _renewal(info)
    who = "the user who created it" if info.kind == PAGE else "this user"
    return f"{who} must log in to the app again, and the new token must be stored as the connection's password."


def _first(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
