"""One line says what a token can read, what it lacks, when it expires, and who must renew it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_metaconv.graph.auth import PageIdentity
from airflow_provider_metaconv.graph.token import NEVER, TokenInfo
from airflow_provider_metaconv.graph.token_advice import (
    NEEDED_PERMISSIONS,
    describe,
    end_unknown,
    ending_soon,
    lacking,
    readable_platforms,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALL = frozenset(name for names in NEEDED_PERMISSIONS.values() for name in names)
USER = TokenInfo("USER", "5", "Ann Example", "Emulator", ALL, NEVER, NEVER)
BAKERY = PageIdentity("100", "Bakery", "t", "1784", ("MESSAGING",))
BIKES = PageIdentity("101", "Bikes", "t", None, ("MODERATE",))
COFFEE = PageIdentity("102", "Coffee", "t", "1786", ("ANALYZE",))


def described(info: TokenInfo, *pages: PageIdentity) -> str:
    reads, line = describe(info, pages, NOW)
    assert reads is any(readable_platforms(info, page) for page in pages)
    return line


def test_a_token_with_full_access_is_described_in_one_line() -> None:
    assert described(USER, BAKERY) == (
        "This is the user token of Ann Example (id 5, app Emulator). It can read 1 Page: Bakery (id 100: MESSENGER and "
        "INSTAGRAM). It has the permissions for both platforms. It never expires, nor does its access to data."
    )


def test_missing_tasks_and_instagram_accounts_are_named() -> None:
    line = described(USER, BAKERY, BIKES, COFFEE)
    assert "It can read 2 Pages: Bakery (id 100: MESSENGER and INSTAGRAM), Bikes (id 101: MESSENGER)." in line
    assert "Its user lacks the Messages task (Page settings, Page access) on Coffee (id 102)." in line
    assert "No linked Instagram account exists, or is visible, for Bikes (id 101)." in line


def test_long_lists_of_pages_are_abbreviated() -> None:
    pages = [dataclasses.replace(BAKERY, page_id=str(number), name=f"P{number}") for number in range(22)]
    assert "It can read 22 Pages: P0 (id 0: MESSENGER and INSTAGRAM), P1" in described(USER, *pages)
    assert "P4 (id 4: MESSENGER and INSTAGRAM) and 17 more." in described(USER, *pages)


def test_missing_permissions_are_listed_per_platform() -> None:
    info = dataclasses.replace(USER, permissions=frozenset({"pages_messaging", "pages_manage_metadata"}))
    line = described(info, BAKERY)
    assert "It can read 1 Page: Bakery (id 100: MESSENGER)." in line
    assert (
        "It lacks pages_read_engagement for MESSENGER and instagram_manage_messages, instagram_basic for INSTAGRAM: "
        "create it again with the permissions that you need."
    ) in line
    assert lacking(info, "MESSENGER") == ("pages_read_engagement",)


@pytest.mark.parametrize(
    ("info", "pages", "expected"),
    [
        (USER, (), "It sees no Page: its user needs the Messages task"),
        (USER, (COFFEE,), "It sees 1 Page but can read none."),
        (dataclasses.replace(USER, permissions=frozenset()), (BAKERY, BIKES), "It sees 2 Pages but can read none."),
    ],
)
def test_a_token_that_reads_nothing_fails_the_connection_test(
    info: TokenInfo, pages: tuple[PageIdentity, ...], expected: str
) -> None:
    reads, line = describe(info, pages, NOW)
    assert not reads
    assert expected in line


def test_permissions_for_some_pages_limit_the_readable_pages() -> None:
    info = dataclasses.replace(
        USER, targets={name: frozenset({"100", "1784"}) for name in ("pages_messaging", "instagram_manage_messages")}
    )
    line = described(info, BAKERY, BIKES)
    assert "It can read 1 Page: Bakery (id 100: MESSENGER and INSTAGRAM)." in line
    assert "Its permissions were granted for some Pages only: create it again and also choose Bikes (id 101)." in line


def test_unreported_permissions_do_not_count_as_missing() -> None:
    info = TokenInfo(None, "5", "Ann Example")
    reads, line = describe(info, [BAKERY], NOW)
    assert reads
    assert line.startswith("This is the user or system user token of Ann Example (id 5). It can read 1 Page")
    assert "Meta does not report its permissions." in line
    assert "Meta does not report when it expires; it may with the right app_secret in the connection's extra." in line


def test_both_expiry_dates_show_the_remaining_time() -> None:
    info = dataclasses.replace(
        USER, expires_at=NOW + timedelta(days=9, hours=1), data_access_expires_at=NOW + timedelta(hours=3)
    )
    line = described(info, BAKERY)
    assert "It expires on 2026-12-01 13:00 UTC (in 9 days); its access to data ends on 2026-11-22 15:00 UTC" in line
    assert "(within a day)" in line


def test_line_breaks_in_names_are_removed() -> None:
    page = dataclasses.replace(BAKERY, name="Bak\nery\r\n")
    assert "Bak ery (id 100" in described(dataclasses.replace(USER, owner="Ann\nExample"), page)
    assert len(described(dataclasses.replace(USER, owner="Ann\nExample"), page).splitlines()) == 1


FORTNIGHT = timedelta(days=14)


@pytest.mark.parametrize(
    ("kind", "who"),
    [
        ("USER", "this user must log in to the app again"),
        ("SYSTEM_USER", "an admin of its business must generate a new token for this system user"),
        ("PAGE", "a person with a role on the Page must create a new Page token"),
        (None, "this user must log in to the app again"),
    ],
)
def test_an_expiring_token_says_who_must_renew_it(kind: str | None, who: str) -> None:
    info = dataclasses.replace(USER, kind=kind, expires_at=NOW + timedelta(days=14))
    line = ending_soon(info, NOW, FORTNIGHT)
    assert line is not None
    assert "expires on 2026-12-06 12:00 UTC (in 14 days): " in line
    assert who in line
    assert "connection's password" in line
    assert len(line.splitlines()) == 1


def test_expiring_data_access_is_reported_too() -> None:
    info = dataclasses.replace(USER, data_access_expires_at=NOW + timedelta(days=1))
    line = ending_soon(info, NOW, FORTNIGHT)
    assert line is not None
    assert "loses access to its data on 2026-11-23 12:00 UTC (in 1 day): this user must log in" in line
    both = dataclasses.replace(info, expires_at=NOW + timedelta(days=2))
    assert "(in 2 days) and loses access to its data on 2026-11-23" in str(ending_soon(both, NOW, FORTNIGHT))


@pytest.mark.parametrize("end", [None, NEVER, NOW + FORTNIGHT + timedelta(seconds=1)])
def test_a_token_that_does_not_expire_soon_is_not_reported(end: datetime | None) -> None:
    info = dataclasses.replace(USER, expires_at=end, data_access_expires_at=end)
    assert ending_soon(info, NOW, FORTNIGHT) is None


def test_an_unreported_expiry_is_not_taken_as_never() -> None:
    line = end_unknown(dataclasses.replace(USER, expires_at=None))
    assert "set app_secret in the connection's extra to the secret of that app" in str(line)
    assert end_unknown(USER) is None
