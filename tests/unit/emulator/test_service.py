"""The emulator without HTTP, as the simulation calls it."""

from __future__ import annotations

from airflow_provider_metaconv.emulator import EmulatorSettings, Fault, uniform_world
from airflow_provider_metaconv.emulator.requests import Request
from airflow_provider_metaconv.emulator.service import GraphService

LIST = Request(
    "/v26.0/100/conversations",
    "/v26.0/100/conversations?limit=5",
    {"limit": "5"},
    "emulator-page-token-100",
    "https://graph.example",
)


def test_a_response_lists_the_faults_it_triggered() -> None:
    service = GraphService(uniform_world(threads=5), EmulatorSettings(clock=lambda: 0.0))
    faults = [Fault("2", times=1), Fault("page_size", size=2), Fault("null_row"), Fault("foreign_usage")]
    for fault in faults:
        service.faults.add(fault)
    triggered = [[fault.name for fault in service.answer(LIST).faults] for _ in range(2)]
    assert triggered == [["2", "page_size", "foreign_usage"], ["page_size", "null_row", "foreign_usage"]]


def test_a_normal_response_triggers_no_fault() -> None:
    service = GraphService(uniform_world(threads=5), EmulatorSettings())
    assert (service.answer(LIST).status, service.answer(LIST).faults) == (200, ())


def test_a_hang_is_returned_as_a_delay() -> None:
    service = GraphService(uniform_world(threads=5), EmulatorSettings())
    service.faults.add(Fault("hang", delay_seconds=7_200))
    assert service.answer(LIST).delay_seconds == 7_200
