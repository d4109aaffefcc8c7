"""A window is complete only with evidence, and evidence is created only when reading has finished."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest

import airflow_provider_metaconv
from airflow_provider_metaconv.extract.attempt import Attempt, Partiality
from airflow_provider_metaconv.extract.known import KnownConversations
from airflow_provider_metaconv.extract.page_sizes import PageSizes
from airflow_provider_metaconv.extract.resumption import new_state
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.extract.state import ConversationState, Ended, ExtractionState, ListEvidence
from airflow_provider_metaconv.window import Window

PACKAGE = Path(airflow_provider_metaconv.__file__).parent
CONTEXT = ExtractionContext("MESSENGER", "100", frozenset({"100"}), Window(None, datetime(2026, 11, 20, tzinfo=UTC)))


CREATORS = {
    "ListEvidence": {"list_walk._ended"},
    "Ended": {"list_walk._ended"},
    "ListOutcome": {"attempt._outcome"},
    "WindowEvidence": {"attempt.evidence"},
}


def test_evidence_is_created_in_one_place() -> None:
    found: dict[str, set[str]] = {name: set() for name in CREATORS}
    for file in PACKAGE.rglob("*.py"):
        for function in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                # A match pattern, as in ``case Ended():``, is not a call.
                calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
                for name in {str(getattr(call, "id", getattr(call, "attr", ""))) for call in calls} & CREATORS.keys():
                    found[name].add(f"{file.stem}.{function.name}")
    assert found == CREATORS


def attempt(state: ExtractionState) -> Attempt:
    return Attempt(CONTEXT, state, [None], KnownConversations(str), Partiality(False, tuple, lambda: 0.0))


def ended() -> ExtractionState:
    state = new_state(CONTEXT, 1, PageSizes.default("MESSENGER", is_history=True))
    state.lists[0].phase = Ended(ListEvidence("the end of the list", 1))
    return state


def test_a_fully_read_list_is_evidence() -> None:
    assert attempt(ended()).evidence().is_complete


def test_an_open_conversation_prevents_evidence() -> None:
    state = ended()
    state.conversations["t_1"] = ConversationState("t_1")
    with pytest.raises(RuntimeError, match="1 conversations are not fully read"):
        attempt(state).evidence()


def test_an_unfinished_list_prevents_evidence() -> None:
    with pytest.raises(RuntimeError, match="neither fully read nor refused"):
        attempt(new_state(CONTEXT, 1, PageSizes.default("MESSENGER", is_history=True))).evidence()
