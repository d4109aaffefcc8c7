"""An Airflow Connection of type ``meta_graph`` to a Graph client; the only place that reads the Connection."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import requests
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, Connection, mask_secret

from airflow_provider_metaconv.graph.auth import Credentials, PageIdentity, list_pages, page_identity
from airflow_provider_metaconv.graph.client import API_VERSION, BASE_URL, GraphClient
from airflow_provider_metaconv.graph.errors import GraphError, InvalidRequestError
from airflow_provider_metaconv.graph.pacing import CALLS_PER_SECOND, Pacer
from airflow_provider_metaconv.records import INSTAGRAM


@dataclass(frozen=True, slots=True)
class PageAccess:
    """A client that speaks with the Page's own token, and who the Page is."""

    client: GraphClient
    identity: PageIdentity


class MetaGraphHook(BaseHook):
    """Gives paced clients for Meta's Graph API from one Connection.

    The Connection: ``password`` is a Page, user or system-user token; ``host`` (default https://graph.facebook.com);
    ``extra``: ``api_version``, ``app_secret`` (for apps that demand proofs), ``calls_per_second`` (default 2, Meta's
    limit per Page).
    """

    conn_name_attr = "meta_conn_id"
    default_conn_name = "meta_graph_default"
    conn_type = "meta_graph"
    hook_name = "Meta Graph API"

    def __init__(self, meta_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meta_conn_id = meta_conn_id

    def get_conn(self) -> GraphClient:
        """A client under the Connection's own token.

        Raises ``AirflowNotFoundException`` without the Connection, ``TokenError`` for a token that cannot be one,
        ``InvalidRequestError`` for a host, version or pace that cannot be used.
        """
        connection = self._connection()
        extra = _extra(connection)
        credentials = Credentials(connection.password or "", str(extra.get("app_secret") or "") or None)
        for secret in (credentials.token, credentials.app_secret, *credentials.parameters.values()):
            if secret:
                mask_secret(secret)
        return GraphClient(
            requests.Session(),
            credentials,
            base_url=_base_url(connection),
            api_version=str(extra.get("api_version") or API_VERSION),
            pacer=Pacer(_calls_per_second(extra.get("calls_per_second"))),
        )

    def get_page(self, page_id: str, platform: str) -> PageAccess:
        """A client that speaks with the Page's own token, which Meta demands for conversations; one call.

        Raises what ``get_conn`` and ``page_identity`` raise.
        """
        client = self.get_conn()
        identity = page_identity(client.get, page_id, with_instagram=platform == INSTAGRAM)
        mask_secret(identity.token)
        client.use_token(identity.token)
        return PageAccess(client, identity)

    def list_pages(self) -> list[dict[str, str | None]]:
        """The Pages of a user or system-user token: ``page_id``, ``name``, ``instagram_account_id``; no tokens."""
        return [
            {"page_id": page.page_id, "name": page.name, "instagram_account_id": page.instagram_account_id}
            for page in list_pages(self.get_conn().get)
        ]

    def test_connection(self) -> tuple[bool, str]:
        """Whether the token works, and whose it is, in one line."""
        try:
            owner = self.get_conn().get("me", {"fields": "id,name"})
        except (GraphError, AirflowNotFoundException) as error:
            return False, str(error)
        return True, f"The token works: it speaks for {owner.get('name', 'an unnamed account')} (id {owner.get('id')})."

    def _connection(self) -> Connection:
        try:
            return self.get_connection(self.meta_conn_id)
        except AirflowNotFoundException:
            raise AirflowNotFoundException(
                f"There is no connection {self.meta_conn_id!r}: add one of type {self.conn_type} with the access token "
                f"as password, for example in the environment variable AIRFLOW_CONN_{self.meta_conn_id.upper()}."
            ) from None

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The form of the Connection for Airflow 3.1; later versions read the same from the provider's info."""
        from airflow_provider_metaconv.get_provider_info import FIELD_BEHAVIOUR

        return {
            "hidden_fields": FIELD_BEHAVIOUR["hidden-fields"],
            "relabeling": FIELD_BEHAVIOUR["relabeling"],
            "placeholders": FIELD_BEHAVIOUR["placeholders"],
        }


def _extra(connection: Connection) -> dict[str, Any]:
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        # Airflow reads broken JSON as no extra at all, which would drop the app secret without a word.
        raise InvalidRequestError('The connection\'s extra is no JSON object: write it as {"api_version": "v26.0"}.')
    return extra


def _base_url(connection: Connection) -> str:
    host = connection.host or BASE_URL
    return f"{host}:{connection.port}" if connection.port else host


def _calls_per_second(value: Any) -> float:
    try:
        calls = float(CALLS_PER_SECOND if value in (None, "") else value)
    except (TypeError, ValueError):
        calls = 0.0
    if not 0 < calls < float("inf"):
        raise InvalidRequestError(
            f"calls_per_second={value!r} in the connection's extra is no pace: write a number above 0, such as 2."
        )
    return calls
