from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.emulator import FAULTS, EmulatorServer, Fault, uniform_world

from .emulator_reader import get, rows, walk

# name: (HTTP status, code, subcode, part of the text), from Meta's public documentation.
ERRORS = {
    "1": (500, 1, None, "Please reduce the amount of data you're asking for"),
    "1/unknown": (500, 1, None, "An unknown error occurred"),
    "1/99": (500, 1, 99, "An unknown error occurred"),
    "2": (500, 2, None, "An unexpected error has occurred. Please retry your request later."),
    "3": (400, 3, None, "capability"),
    "4": (403, 4, None, "(#4) Application request limit reached"),
    "5": (400, 5, None, "IP"),
    "10": (400, 10, None, "permission"),
    "10/public_content": (400, 10, None, "(#10) To use 'Page Public Content Access'"),
    "10/field": (400, 10, None, "(#10) Insufficient permission to access field (x) on node type (UnifiedThread)"),
    "10/2018336": (400, 10, 2018336, "(#10)"),
    "12": (400, 12, None, "(#12) x field is deprecated for versions v2.4 and higher"),
    "17": (400, 17, None, "request limit reached"),
    "21": (400, 21, None, "migrated"),
    "32": (400, 32, None, "(#32) Page request limit reached"),
    "100": (400, 100, None, "Invalid parameter"),
    "100/33": (400, 100, 33, "Unsupported get request. Object with ID"),
    "100/field": (400, 100, None, "(#100) Tried accessing nonexisting field (x) on node type (UnifiedThread)"),
    "100/limit": (400, 100, None, "(#100) The 'limit' parameter should not exceed 100"),
    "100/cursor": (400, 100, None, "(#100) The After Cursor specified exceeds the max limit"),
    "100/proof": (400, 100, None, "Invalid appsecret_proof provided in the API argument"),
    "100/proof_missing": (400, 100, None, "API calls from the server require an appsecret_proof argument"),
    "102": (400, 102, None, "Session"),
    "104": (400, 104, None, "An access token is required to request this resource."),
    "190": (400, 190, None, "access token"),
    "190/page_token": (400, 190, None, "(#190) This method must be called with a Page Access Token"),
    "190/458": (400, 190, 458, "Error validating access token"),
    "190/459": (400, 190, 459, "Error validating access token"),
    "190/460": (400, 190, 460, "because the user changed their password"),
    "190/463": (400, 190, 463, "Session has expired on"),
    "190/464": (400, 190, 464, "Error validating access token"),
    "190/467": (400, 190, 467, "Error validating access token"),
    "190/492": (400, 190, 492, "Error validating access token"),
    "190/493": (400, 190, 493, "90 days"),
    "200": (403, 200, None, "(#200) Requires permission: pages_messaging or User associated"),
    "200/field": (403, 200, None, "(#200) Insufficient permission to access field (x) on node type (UnifiedThread)"),
    "200/2534041": (403, 200, 2534041, "(#200)"),
    "200/2069030": (403, 200, 2069030, "Permissions error"),
    "230": (403, 230, None, "(#230) Requires pages_messaging permission to manage the object"),
    "230/consent": (400, 230, None, "User consent is required to access user profile"),
    "341": (400, 341, None, "limit reached"),
    "368": (400, 368, 1346003, "The action attempted has been deemed abusive or is otherwise disallowed"),
    "551": (400, 551, 1545041, "(#551) This person isn't available right now."),
    "613": (400, 613, None, "(#613) Calls to this api have exceeded the rate limit."),
    "613/1996": (400, 613, 1996, "(#613)"),
    "803": (404, 803, None, "(#803) Some of the aliases you requested do not exist"),
    "2500": (400, 2500, None, "An active access token must be used to query information"),
    "2500/path": (400, 2500, None, "Unknown path components: /"),
    "9000001": (400, 9000001, None, "This Message has been deleted by the user or the business."),
    "-1": (400, -1, None, "Instagram"),
    "-2": (400, -2, None, "Instagram"),
    "-2/2534084": (400, -2, 2534084, "Timeout"),
    "-3": (400, -3, None, "Too much data"),
    "80001": (400, 80001, None, "(#80001) There have been too many"),
    "80002": (400, 80002, None, "(#80002) There have been too many"),
    "80006": (400, 80006, None, "(#80006) There have been too many messenger api calls to this Page account."),
}
ODD_ANSWERS = {
    "html_400", "html_500", "html_502", "html_504", "service_unavailable_200", "old_style_error", "empty_object",
}  # fmt: skip
FAULT_KINDS = {
    "hang", "too_much_data", "poisoned_thread", "beyond_detailed", "reset_before", "reset_middle", "truncated_gzip",
    "truncated_json", "redirect", "short_page", "page_size", "first_page", "empty_tail", "empty_self_tail", "self_tail",
    "same_cursors", "ignored_cursor", "time_paging", "empty_page", "repeated_cursor", "foreign_next", "no_paging_next",
    "unordered_page", "null_row", "null_rows", "missing_data", "missing_messages", "foreign_object", "unix_times",
    "stale_updated_time", "usage", "foreign_usage",
}  # fmt: skip


def test_these_tests_list_every_fault() -> None:
    assert set(FAULTS) == set(ERRORS) | ODD_ANSWERS | FAULT_KINDS


def test_the_documentation_describes_every_fault_kind() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "emulator.md").read_text("utf-8")
    described = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page.partition("| kind |")[2], re.MULTILINE))
    assert described == {name: FAULTS[name].description for name in ODD_ANSWERS | FAULT_KINDS}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_returned_as_documented_exactly_once(small: EmulatorServer, name: str) -> None:
    small.add_fault(Fault(name, times=1))
    answer = get(small, "100/conversations")
    error = answer.json()["error"]
    status, code, subcode, text = ERRORS[name]
    assert (status, code, subcode) == (answer.status_code, error["code"], error.get("error_subcode"))
    assert text in error["message"]
    assert ("1" in name.split("/")[:1]) == ("type" not in error)
    assert get(small, "100/conversations").status_code == 200
    assert small.statistics()["faults"] == {name: 1}


def test_an_unknown_fault_is_rejected_with_the_known_names(small: EmulatorServer) -> None:
    with pytest.raises(ValueError, match="unknown fault 'nonsense'; known faults: 1, 1/99"):
        Fault("nonsense")
    answer = requests.post(f"{small.url}/_emulator/faults", json={"name": "nonsense"}, timeout=5)
    assert answer.status_code == 400
    assert "unknown fault 'nonsense'" in answer.json()["error"]
    for bad in ({"name": "4", "tims": 1}, {}, [1], {"name": "poisoned_thread"}, {"name": "4", "every": 0}):
        assert requests.post(f"{small.url}/_emulator/faults", json=bad, timeout=5).status_code == 400


def test_a_fault_triggers_on_the_calls_it_should(small: EmulatorServer) -> None:
    small.add_fault(Fault("2", after_calls=2, every=3, times=2))
    assert [get(small, "100").status_code for _ in range(9)] == [200, 200, 500, 200, 200, 500, 200, 200, 200]
    small.add_fault(Fault("2", after_calls=2, times=2))
    assert [get(small, "100").status_code for _ in range(5)] == [200, 200, 500, 500, 200]


def test_a_fault_with_a_probability_is_reproducible(small: EmulatorServer) -> None:
    def triggered() -> list[int]:
        small.clear_faults()
        small.add_fault(Fault("2", probability=0.5, seed=7))
        return [get(small, "100").status_code for _ in range(20)]

    first = triggered()
    assert first == triggered()
    assert set(first) == {200, 500}


@pytest.mark.parametrize(
    "only", [{"page_id": "101"}, {"platform": "instagram"}, {"route": "messages"}, {"match": r"limit=99\b"}]
)
def test_a_fault_does_not_affect_calls_that_do_not_match(small: EmulatorServer, only: dict[str, str]) -> None:
    small.add_fault(Fault("2", **only))  # type: ignore[arg-type]
    assert get(small, "100/conversations", limit=5).status_code == 200


def test_a_fault_affects_calls_that_match(small: EmulatorServer) -> None:
    for only in ({"page_id": "100"}, {"platform": "messenger"}, {"route": "conversations"}, {"match": "limit=5"}):
        small.add_fault(Fault("2", times=1, **only))  # type: ignore[arg-type]
    assert [get(small, "100/conversations", limit=5).status_code for _ in range(5)] == [500] * 4 + [200]


def test_html_500(small: EmulatorServer) -> None:
    small.add_fault(Fault("html_500"))
    answer = get(small, "100")
    assert (answer.status_code, answer.text.startswith("<!DOCTYPE html>")) == (500, True)


def test_service_unavailable_with_http_200(small: EmulatorServer) -> None:
    small.add_fault(Fault("service_unavailable_200"))
    answer = get(small, "100")
    assert (answer.status_code, answer.text) == (200, "Service Unavailable")


@pytest.mark.parametrize("name", ["reset_before", "reset_middle"])
def test_a_connection_is_reset(small: EmulatorServer, name: str) -> None:
    small.add_fault(Fault(name, times=1))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        get(small, "100/conversations", limit=30)
    assert get(small, "100/conversations").status_code == 200


@pytest.mark.parametrize("name", ["truncated_gzip", "truncated_json"])
def test_a_body_is_truncated(small: EmulatorServer, name: str) -> None:
    small.add_fault(Fault(name))
    with pytest.raises((ValueError, requests.exceptions.ContentDecodingError)):
        get(small, "100/conversations", limit=30).json()


def test_a_response_hangs(small: EmulatorServer) -> None:
    small.add_fault(Fault("hang", delay_seconds=0.2, times=1))
    start = time.perf_counter()
    assert get(small, "100").status_code == 200
    assert 0.2 <= time.perf_counter() - start < 2
    small.add_fault(Fault("hang"))
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{small.url}/100?access_token={small.page_token()}", timeout=0.2)


def test_a_redirect_to_another_host(small: EmulatorServer) -> None:
    small.add_fault(Fault("redirect", url="https://collector.example/x"))
    url = f"{small.url}/v26.0/100?access_token={small.page_token()}"
    answer = requests.get(url, timeout=5, allow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "https://collector.example/x")


def test_next_points_to_another_host(small: EmulatorServer) -> None:
    small.add_fault(Fault("foreign_next", url="https://collector.example"))
    following = get(small, "100/conversations", limit=5).json()["paging"]["next"]
    assert following.startswith("https://collector.example/v26.0/100/conversations?access_token=")


@settings(max_examples=15, deadline=None)
@given(
    limit=st.integers(1, 40),
    name=st.sampled_from(["empty_page", "short_page"]),
    every=st.integers(1, 3),
    after_calls=st.integers(0, 3),
)
def test_following_next_through_empty_and_short_pages_finds_everything(
    limit: int, name: str, every: int, after_calls: int
) -> None:
    with EmulatorServer(uniform_world(threads=23, messages_per_thread=3)) as server:
        times = None if name == "short_page" or every > 1 else 4
        server.add_fault(Fault(name, every=every, after_calls=after_calls, times=times))
        found = [row["id"] for _, messages in walk(server, limit=limit, nested=2) for row in messages]
        assert server.ground_truth().message_ids == set(found)
        assert len(found) == len(set(found))


def test_an_empty_page_has_next_with_a_new_cursor(small: EmulatorServer) -> None:
    after = get(small, "100/conversations", limit=5).json()["paging"]["cursors"]["after"]
    small.add_fault(Fault("empty_page", times=1))
    body = get(small, "100/conversations", limit=5, after=after).json()
    assert (body["data"], "next" in body["paging"]) == ([], True)
    assert after != body["paging"]["cursors"]["after"]


def test_a_repeated_cursor_leads_to_the_same_page_again(small: EmulatorServer) -> None:
    small.add_fault(Fault("repeated_cursor"))
    after = get(small, "100/conversations", limit=5).json()["paging"]["cursors"]["after"]
    body = get(small, "100/conversations", limit=5, after=after).json()
    assert (after, True) == (body["paging"]["cursors"]["after"], "next" in body["paging"])


@pytest.mark.parametrize("edge", ["conversations", "messages"])
def test_an_ignored_cursor_leads_to_the_first_page_again(edge: str) -> None:
    with EmulatorServer(uniform_world(threads=5, messages_per_thread=5)) as server:
        thread = get(server, "100/conversations").json()["data"][0]["id"]
        path = f"{'100' if edge == 'conversations' else thread}/{edge}"
        server.add_fault(Fault("ignored_cursor", route=edge))
        first = get(server, path, limit=2).json()
        asked = first["paging"]["cursors"]["after"]
        again = get(server, path, limit=2, after=asked).json()
        assert [row["id"] for row in again["data"]] == [row["id"] for row in first["data"]]
        assert again["paging"]["cursors"]["after"] == asked


def test_next_can_be_missing(small: EmulatorServer) -> None:
    small.add_fault(Fault("no_paging_next", times=1))
    assert len(rows(small, "100/conversations", limit=5)) == 5


def test_rows_can_come_out_of_order(small: EmulatorServer) -> None:
    plain = get(small, "100/conversations", limit=5).json()
    small.add_fault(Fault("unordered_page", times=1))
    found = get(small, "100/conversations", limit=5).json()
    assert (plain["data"][::-1], plain["paging"]) == (found["data"], found["paging"])


def test_a_limit_of_the_conversations_api_does_not_affect_the_page_node(small: EmulatorServer) -> None:
    small.add_fault(Fault("80006", times=1))
    assert get(small, "100").status_code == 200
    assert get(small, "100/conversations").status_code == 400
    small.add_fault(Fault("80006", times=1, route="page"))
    assert get(small, "100").status_code == 400


def test_too_much_data_depends_on_the_requested_limits(small: EmulatorServer) -> None:
    small.add_fault(Fault("too_much_data", more_than=50))
    asked = [(10, 6), (10, 5), (5, 10), (51, None), (50, None)]
    answers = [
        get(small, "100/conversations", limit=limit, fields="id" + (f",messages.limit({nested})" if nested else ""))
        for limit, nested in asked
    ]
    assert [answer.status_code for answer in answers] == [500, 200, 200, 500, 200]
    assert answers[0].json()["error"]["code"] == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, [500, 200, 200]), ({"light": True}, [500, 500, 200]), ({"light": True, "alone": True}, [500, 500, 500])],
)
def test_a_poisoned_thread_fails_the_pages_that_contain_it(
    small: EmulatorServer, options: dict[str, bool], expected: list[int]
) -> None:
    ids = [row["id"] for row in rows(small, "100/conversations")]
    small.add_fault(Fault("poisoned_thread", thread_id=ids[3], **options))  # type: ignore[arg-type]
    nested = {"fields": "id,messages.limit(1)"}
    answers = [
        get(small, "100/conversations", limit=5, **nested),
        get(small, "100/conversations", limit=5),
        get(small, f"{ids[3]}/messages"),
    ]
    assert [answer.status_code for answer in answers] == expected
    assert get(small, "100/conversations", limit=3, **nested).status_code == 200


def test_faults_are_added_listed_and_removed_over_http(small: EmulatorServer) -> None:
    admin = f"{small.url}/_emulator/faults"
    body = json.dumps([{"code": 190, "subcode": 463, "times": 1}, {"name": "80006", "block_seconds": 60}])
    assert [row["name"] for row in requests.post(admin, data=body, timeout=5).json()] == ["190/463", "80006"]
    assert [get(small, "100/conversations").json()["error"]["code"] for _ in range(3)] == [190, 80006, 80006]
    assert [row["triggered"] for row in requests.get(admin, timeout=5).json()] == [1, 1]
    assert requests.delete(admin, timeout=5).json() == []
    assert get(small, "100/conversations").status_code == 200
