"""The extract operator: defaults, result, rejected arguments, and the handling of each kind of error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_metaconv import retry_policy
from airflow_provider_metaconv.emulator import EmulatorServer, Fault, World, WorldSettings
from airflow_provider_metaconv.extract.extraction import PartialWindowError
from airflow_provider_metaconv.files.commit import BetterResultError
from airflow_provider_metaconv.graph.errors import RateLimitError, TokenError
from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator
from airflow_provider_metaconv.retry_policy import HAS_RETRY_POLICY

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=4000, now=NOW))) as server:
        yield server


class TaskInstance:
    """What the operator uses of Airflow's task instance."""

    def __init__(self, first_reschedule: datetime | None = None) -> None:
        self.first_reschedule = first_reschedule
        self.pushed: dict[str, Any] = {}

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.first_reschedule

    def xcom_push(self, key: str, value: Any) -> None:
        """Links that the operator shows while it runs, and the result of a partial window."""
        self.pushed[key] = value


def operator(destination: Path, **arguments: Any) -> MetaConversationsToLocalFilesystemOperator:
    settings = {"page_id": "100", "platform": "MESSENGER", "since": None, "until": NOW, **arguments}
    return MetaConversationsToLocalFilesystemOperator(task_id="extract", destination=str(destination), **settings)


def run(task: MetaConversationsToLocalFilesystemOperator, first_reschedule: datetime | None = None) -> dict[str, Any]:
    return task.execute({"ti": TaskInstance(first_reschedule)})  # type: ignore[typeddict-item]


def test_the_window_defaults_to_the_data_interval() -> None:
    task = MetaConversationsToLocalFilesystemOperator(
        task_id="t", page_id="100", platform="MESSENGER", destination="/data/meta"
    )
    assert (task.since, task.until) == ("{{ data_interval_start }}", "{{ data_interval_end }}")


def test_all_arguments_except_policies_are_templated() -> None:
    expected = {"page_id", "platform", "destination", "since", "until", "folder", "user_id", "file_format"}
    assert set(MetaConversationsToLocalFilesystemOperator.template_fields) == expected | {"meta_conn_id"}


def test_the_result_has_the_manifests_path_and_counts(server: EmulatorServer, tmp_path: Path) -> None:
    result = run(operator(tmp_path))
    truth = server.ground_truth("100", "MESSENGER", None, NOW)
    place = tmp_path / "platform=messenger/page_id=100/window=begin_20261120T000000Z/_manifest.json"
    calls, incomplete, coverage = result.pop("calls"), result.pop("incomplete"), result.pop("coverage")
    assert result == {
        "manifest": str(place),
        "messages": truth.messages,
        "conversations": truth.conversations,
        "complete": True,
        "gaps": [],
    }
    stats = json.loads(place.read_bytes())["stats"]
    assert (calls, incomplete) == (stats["calls"], stats["incomplete"])
    assert (coverage["page"], coverage["messages"], coverage["calls"]) == ("MESSENGER/100", truth.messages, calls)
    assert (coverage["covered_since"], coverage["covered_until"]) == (0, int(NOW.timestamp()))


@pytest.mark.parametrize("narrowed_by", [{"folder": "spam"}, {"user_id": "1"}])
def test_a_part_of_a_page_has_no_coverage_row(
    server: EmulatorServer, tmp_path: Path, narrowed_by: dict[str, str]
) -> None:
    assert "coverage" not in run(operator(tmp_path, **narrowed_by))


def test_parquet_is_written_on_request(server: EmulatorServer, tmp_path: Path) -> None:
    manifest = json.loads(Path(run(operator(tmp_path, file_format="parquet"))["manifest"]).read_bytes())
    assert {Path(file["path"]).suffix for file in manifest["files"]} == {".parquet"}


def test_lower_case_platforms_are_accepted(server: EmulatorServer, tmp_path: Path) -> None:
    assert run(operator(tmp_path, platform="instagram"))["messages"] > 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"platform": "WHATSAPP"}, "platform must be MESSENGER or INSTAGRAM"),
        ({"page_id": "my-page"}, "page_id must contain only digits"),
        ({"page_id": "../100"}, "page_id must contain only digits"),
        ({"page_id": ""}, "page_id must contain only digits"),
        ({"since": NOW + timedelta(days=9)}, "swap or widen|is in the future"),
        ({"since": "2026-11-19T00:00:00"}, "has no time zone"),
        ({"file_format": "csv"}, "file_format must be ndjson or parquet"),
        ({"on_rate_limit": "sleep"}, "on_rate_limit must be reschedule or retry"),
        ({"on_incomplete": "ignore"}, "on_incomplete must be warn or fail"),
        ({"folder": "../spam"}, "folder must contain only"),
        ({"extra_fields": "is_owner"}, "extra_fields must be a list of names"),
        ({"extra_fields": ["{{ var.value.x }}"]}, "extra_fields must have only plain names"),
        ({"extra_fields": ["conversations.snippet"]}, "extra_fields must not have snippet"),
    ],
)
def test_an_invalid_argument_fails_before_any_call_or_file(
    server: EmulatorServer, tmp_path: Path, arguments: dict[str, Any], expected: str
) -> None:
    before = server.statistics()["calls"]
    with pytest.raises(AirflowFailException, match=expected) as caught:
        run(operator(tmp_path, **arguments))
    assert "\n" not in str(caught.value)
    assert ([], before) == (list(tmp_path.iterdir()), server.statistics()["calls"])


@pytest.mark.parametrize(
    "name", ["page_id", "platform", "since", "until", "folder", "user_id", "file_format", "on_incomplete"]
)
def test_errors_do_not_quote_arguments_that_may_be_secrets(server: EmulatorServer, tmp_path: Path, name: str) -> None:
    with pytest.raises(AirflowFailException) as caught:
        run(operator(tmp_path, **{name: "$ecret.value"}))
    assert "ecret" not in str(caught.value)
    assert name in str(caught.value)


def test_a_long_rate_limit_reschedules_the_task(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("80006", after_calls=1, regain_minutes=19))
    before = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as caught:
        run(operator(tmp_path))
    waited = caught.value.reschedule_date - before
    assert timedelta(minutes=19) <= waited <= timedelta(minutes=19, seconds=30)


def test_rescheduling_is_bounded(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("80006", regain_minutes=19))
    with pytest.raises(RateLimitError):
        run(operator(tmp_path), first_reschedule=datetime.now(UTC) - timedelta(hours=23, minutes=50))


def test_a_rate_limit_uses_a_retry_when_configured(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("80006", regain_minutes=19))
    with pytest.raises(RateLimitError):
        run(operator(tmp_path, on_rate_limit="retry"))


def test_an_expired_token_fails_fast_on_every_airflow_version(
    server: EmulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_fault(Fault("190/463"))
    task = operator(tmp_path)
    with pytest.raises(TokenError if HAS_RETRY_POLICY else AirflowFailException) as caught:
        run(task)
    if HAS_RETRY_POLICY:
        assert task.retry_policy is not None
        decision = task.retry_policy.evaluate(caught.value, 1, 3)
        assert decision.action.value == "fail"
    # Airflow 3.1 and 3.2 have no retry policies: there the operator itself fails the task for good.
    monkeypatch.setattr(retry_policy, "HAS_RETRY_POLICY", False)
    with pytest.raises(AirflowFailException, match="Create a new Page, system user or user token"):
        run(task)


def test_incomplete_conversations_fail_the_task_only_on_request(server: EmulatorServer, tmp_path: Path) -> None:
    assert run(operator(tmp_path, platform="INSTAGRAM"))["incomplete"] > 0
    with pytest.raises(AirflowFailException, match="conversations are incomplete"):
        run(operator(tmp_path, platform="INSTAGRAM", on_incomplete="fail"))


def test_a_partial_window_fails_the_task_but_can_be_loaded(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("100/cursor", folder="spam"))
    instance = TaskInstance()
    with pytest.raises(PartialWindowError, match='Set on_incomplete="warn" to accept it'):
        operator(tmp_path, folder=["inbox", "spam"]).execute({"ti": instance})  # type: ignore[typeddict-item]
    result = instance.pushed["return_value"]
    manifest = json.loads(Path(result["manifest"]).read_bytes())
    assert (result["complete"], manifest["complete"]) == (False, False)
    assert result["gaps"] == manifest["gaps"]
    assert [gap.partition(":")[0] for gap in result["gaps"]] == ["folder spam"]


def test_a_partial_window_that_needs_human_action_is_not_retried(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("10", folder="spam"))
    with pytest.raises(AirflowFailException, match="The window is partial: folder spam: "):
        run(operator(tmp_path, folder=["inbox", "spam"]))


def test_a_partial_window_is_accepted_on_request(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("10", folder="spam"))
    assert run(operator(tmp_path, folder=["inbox", "spam"], on_incomplete="warn"))["complete"] is False


def test_a_partial_window_never_replaces_a_complete_one(server: EmulatorServer, tmp_path: Path) -> None:
    arguments = {"folder": ["inbox", "spam"], "on_incomplete": "warn"}
    manifest = Path(run(operator(tmp_path, **arguments))["manifest"])
    before = manifest.read_bytes()
    server.add_fault(Fault("10", folder="spam"))
    with pytest.raises(BetterResultError, match="The complete result of an earlier run is kept in"):
        run(operator(tmp_path, **arguments))
    assert manifest.read_bytes() == before


def test_an_unwritable_destination_costs_no_call(server: EmulatorServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    before = server.statistics()["calls"]
    with pytest.raises(Exception, match="choose another destination"):
        run(operator(tmp_path / "file"))
    assert before == server.statistics()["calls"]
