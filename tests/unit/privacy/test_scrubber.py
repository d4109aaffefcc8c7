"""The built-in scrubber replaces personal data, leaves other text alone, and counts; another one can take its place."""

from __future__ import annotations

import pytest

from airflow_provider_metaconv.privacy.policy import PolicyError
from airflow_provider_metaconv.privacy.scrubber import built_in, plugged_in


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail ana.perez+x@example.com please", "mail [email] please"),
        ("ANA@EXAMPLE.CO.UK", "[email]"),
        ("josé@correo.example", "[email]"),
        ("ana\N{FULLWIDTH COMMERCIAL AT}example.com", "[email]"),
        ("call +34 600 123 456 now", "call [phone] now"),
        ("+1-202-555-0173", "[phone]"),
        ("600123456", "[number]"),
        ("(020) 7946 0958", "[number]"),
        ("my number is 0612-34-56-78.", "my number is [number]."),
        ("٠١٢٣٤٥٦٧٨٩", "[number]"),
        ("phone:0034600123456x", "phone:[number]x"),
        ("4111 1111 1111 1111", "[card]"),
        ("4111-1111-1111-1111 ok", "[card] ok"),
        ("ES91 2100 0418 4502 0005 1332 please", "[iban] please"),
        ("de89370400440532013000", "[iban]"),
        ("https://example.com/p?email=x", "[link]"),
        ("https://user:secret@example.com/", "[link]"),
        ("www.example.com/p?id=1 thanks", "[link] thanks"),
        ("facebook.com/ana.perez.5", "[link]"),
        ("https://www.instagram.com/ana/", "[link]"),
        ("wa.me/34600123456", "[link]"),
        ("DNI 12345678Z", "DNI [number]Z"),
    ],
)
def test_personal_data_is_replaced_and_counted(text: str, expected: str) -> None:
    scrubbed, counts = built_in()(text)
    assert scrubbed == expected
    assert sum(counts.values()) == 1
    assert f"[{next(iter(counts))}]" in scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "2 shirts in size 42, please",
        "on 2026-11-27 at 10:30, or 28/11/2026 11:45",
        "order 12345",
        "https://example.com/shop/shirts",
        "12,50 EUR",
        "I'm @ home",
        "and/or",
        "😀 1️⃣ 2️⃣ 3️⃣",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert built_in()(text) == (text, {})


def test_several_are_replaced_in_one_text() -> None:
    scrubbed, counts = built_in()("a@example.com, b@example.com, +34 600 123 456 and 600 765 432")
    assert scrubbed == "[email], [email], [phone] and [number]"
    assert counts == {"email": 2, "phone": 1, "number": 1}


def shouting(text: str) -> str:
    return text.upper()


def counting(text: str) -> tuple[str, dict[str, int]]:
    return "x", {"letters": len(text)}


def failing(text: str) -> str:
    raise RuntimeError(text)


def wrong(text: str) -> object:
    return None


def test_another_scrubber_takes_its_place() -> None:
    assert plugged_in(f"{__name__}:shouting")("ana") == ("ANA", {"replaced": 1})
    assert plugged_in(f"{__name__}:shouting")("ANA") == ("ANA", {})
    assert plugged_in(f"{__name__}:counting")("ana") == ("x", {"letters": 3})


@pytest.mark.parametrize("name", ["failing", "wrong"])
def test_a_scrubber_that_fails_shows_no_text(name: str) -> None:
    with pytest.raises(PolicyError, match="nothing was stored unscrubbed") as caught:
        plugged_in(f"{__name__}:{name}")("a secret text")
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "path", ["", "no_colon", "no.such.module:f", f"{__name__}:no_such", "a b:c", ":x", "json:__name__"]
)
def test_a_path_that_leads_to_no_function_is_refused(path: str) -> None:
    with pytest.raises(PolicyError, match=r"package\.module:function, that can be imported"):
        plugged_in(path)
