"""The operator that erases people from files and tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, Context

from airflow_provider_metaconv.erase.erase import Erasure, OpenWarehouse, erase, preview
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.hooks.google_cloud import GCP_CONN_ID, GoogleCloud
from airflow_provider_metaconv.hooks.privacy_key import pseudonyms
from airflow_provider_metaconv.operators.validation import checked_place, one_of
from airflow_provider_metaconv.operators.warehouse_address import warehouse_opener
from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.retry_policy import HAS_RETRY_POLICY, MetaGraphRetryPolicy, fail_fast

_PERSON_ID = re.compile(r"[0-9]{1,40}")


class MetaErasePersonOperator(BaseOperator):
    """Erases people from the files of a destination and the tables of a warehouse, and keeps later runs from them.

    ``person_ids`` are Page-scoped or Instagram-scoped IDs, as Meta returns them, also for data with pseudonyms: then
    ``privacy_conn_id`` is the Connection with the key. ``scope``: ``"conversation"`` (default) erases their whole
    conversations; ``"own"`` only their own messages, and their entries among recipients, participants and reactions.
    ``warehouse`` is ``duckdb:///path`` or ``bigquery://project.dataset``, or None for files alone.

    Files are rewritten, tables change in one transaction, checkpoints are removed, and the result is searched again.
    The people are added to the suppression list in the destination, so that no later run brings them back. A second
    run finds nothing. While a window is being extracted the task fails and can be retried.

    Returns the URI of the receipt: JSON with hashes, counts and times, without personal data.
    """

    template_fields: Sequence[str] = (
        "person_ids",
        "destination",
        "warehouse",
        "scope",
        "privacy_conn_id",
        "gcp_conn_id",
        "project_id",
        "location",
    )

    def __init__(
        self,
        *,
        person_ids: Sequence[str] | str,
        destination: str,
        warehouse: str | None = None,
        scope: str = Scope.CONVERSATION.value,
        privacy_conn_id: str | None = None,
        gcp_conn_id: str = GCP_CONN_ID,
        project_id: str | None = None,
        location: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.person_ids = person_ids
        self.destination = destination
        self.warehouse = warehouse
        self.scope = scope
        self.privacy_conn_id = privacy_conn_id
        self.gcp_conn_id = gcp_conn_id
        self.project_id = project_id
        self.location = location
        if HAS_RETRY_POLICY and self.retry_policy is None:
            self.retry_policy = MetaGraphRetryPolicy()

    def execute(self, context: Context) -> str:
        """Erase them, and return the URI of the receipt."""
        root, erasure, open_warehouse = self._checked()
        with fail_fast():
            receipt = erase(root, erasure, open_warehouse)
        self.log.info("Erased %d people; the receipt is %s", len(erasure.people), receipt)
        return receipt

    def preview(self) -> dict[str, int]:
        """Return how many rows would be erased, by place; changes nothing."""
        root, erasure, open_warehouse = self._checked()
        with fail_fast():
            return preview(root, erasure, open_warehouse)

    def _checked(self) -> tuple[Storage, Erasure, OpenWarehouse | None]:
        """Validate the arguments; raises ``AirflowFailException`` with one line that names the one to change."""
        try:
            people = checked_person_ids(self.person_ids)
            one_of("scope", self.scope, [scope.value for scope in Scope])
            checked_place("destination", self.destination)
            cloud = GoogleCloud(self.gcp_conn_id)
            open_warehouse = None
            if self.warehouse is not None:
                open_warehouse = warehouse_opener(self.warehouse, cloud, self.project_id, self.location)
            with fail_fast():
                key = None if self.privacy_conn_id is None else pseudonyms(self.privacy_conn_id)
                root = cloud.open_storage(self.destination)
        except ValueError as error:
            raise AirflowFailException(str(error)) from None
        return root, Erasure(people, Scope(self.scope), key), open_warehouse


def checked_person_ids(person_ids: Sequence[str] | str) -> tuple[str, ...]:
    """Return the IDs, which a text separates by commas; raises ``ValueError``, quoting none, for a malformed one."""
    given = str(person_ids).split(",") if isinstance(person_ids, str | int) else list(person_ids)
    people = tuple(dict.fromkeys(str(each).strip() for each in given))
    if not people or not all(_PERSON_ID.fullmatch(each) for each in people):
        raise ValueError("person_ids must be IDs of people (digits only), as sender_id or participants show them.")
    return people
