"""Mapped arguments from outside can be marked, so that Airflow does not render them."""

from __future__ import annotations

import pytest

from airflow_provider_metaconv.operators.extract import (
    MetaConversationsExtractOperator,
    MetaConversationsToGCSOperator,
    MetaConversationsToLocalFilesystemOperator,
    MetaConversationsToStorageOperator,
)


@pytest.mark.parametrize(
    "operator",
    [MetaConversationsToLocalFilesystemOperator, MetaConversationsToStorageOperator, MetaConversationsToGCSOperator],
)
def test_exactly_the_template_fields_are_marked_literal(operator: type[MetaConversationsExtractOperator]) -> None:
    arguments = {name: f"{{{{ {name} }}}}" for name in (*operator.template_fields, "lookback", "on_incomplete")}
    marked = operator.literal_arguments(arguments)
    assert {name for name, value in marked.items() if value != arguments[name]} == set(operator.template_fields)
