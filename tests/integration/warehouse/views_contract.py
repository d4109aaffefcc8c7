"""What every warehouse guarantees about the views; a test class for one warehouse fills in the fixtures."""

import pytest

from airflow_provider_metaconv.schema import CONVERSATIONS, EXTRACTION_WINDOWS
from airflow_provider_metaconv.warehouse import SchemaConflictError
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from airflow_provider_metaconv.warehouse.views import VIEWS
from tests.integration.warehouse.warehouse_contract import at, conversation, message, window


class ViewsContract:
    @pytest.fixture
    def load(self, files, open_warehouse):
        """Loads an hour with a question and its answer, with the views of these options."""

        def load(**options):
            rows = [
                message(1, direction="inbound", created_time=at(9)),
                message(2, direction="outbound", created_time=at(10)),
            ]
            sources = [
                files(*rows),
                files(conversation(), table=CONVERSATIONS),
                files(window(), table=EXTRACTION_WINDOWS),
            ]
            with open_warehouse(views=ViewOptions(**options)) as warehouse:
                warehouse.load(sources)

        return load

    @pytest.fixture
    def redefine(self, open_warehouse):
        """A load of nothing, with the views of these options."""

        def redefine(**options):
            with open_warehouse(views=ViewOptions(**options)) as warehouse:
                warehouse.load([])

        return redefine

    def test_a_load_creates_the_documented_views(self, load, view_rows):
        load()
        shown = {view.name: view_rows(view.name) for view in VIEWS}
        assert {name: [*rows[0]] if rows else None for name, rows in shown.items()} == {
            view.name: None if view.name == "unanswered" else [column for column, _, _ in view.columns]
            for view in VIEWS
        }
        [answered] = shown["reply_times"]
        assert (answered["minutes"], answered["bucket"], answered["is_complete"]) == (60.0, "1-4h", True)

    def test_views_are_replaced_only_if_their_definition_has_changed(self, load, redefine, view_rows, definitions_sent):
        load()
        assert definitions_sent() > 0
        redefine()
        assert definitions_sent() == 0
        redefine(session_gap_minutes=30)
        assert definitions_sent() > 0
        assert [row["minutes"] for row in view_rows("sessions")] == [0.0, 0.0]

    @pytest.mark.parametrize("kind", ["table", "view"])
    def test_somebody_elses_object_is_refused_and_nothing_is_loaded(self, load, make_object, rows_of_messages, kind):
        make_object(kind, "sessions")
        with pytest.raises(SchemaConflictError) as caught:
            load()
        assert f"sessions is a {kind} that this provider did not create: rename it" in str(caught.value)
        assert rows_of_messages() == []
