"""An Airflow Connection of type ``meta_graph`` to a Graph client; the only place that reads the Connection."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, Connection, mask_secret

from airflow_provider_metaconv.graph.auth import PageIdentity, list_pages, page_identity
from airflow_provider_metaconv.graph.client import API_VERSION, BASE_URL, GraphClient
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.graph.errors import GraphError, InvalidRequestError
from airflow_provider_metaconv.graph.limits import CALLS_PER_SECOND, Pacer
from airflow_provider_metaconv.graph.session import MEBIBYTE, Bounds, graph_session
from airflow_provider_metaconv.graph.token import TokenInfo, token_and_pages, token_info
from airflow_provider_metaconv.graph.token_advice import describe
from airflow_provider_metaconv.hooks.connection_extra import ConnectionExtra
from airflow_provider_metaconv.schema import INSTAGRAM
from airflow_provider_metaconv.stop import Stop

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PageAccess:
    """A client that speaks with the Page's own token, and who the Page is."""

    client: GraphClient
    identity: PageIdentity


class MetaGraphHook(BaseHook):
    """Gives paced clients for Meta's Graph API from one Connection.

    The Connection: ``password`` is a Page, user or system-user token; ``host`` (default https://graph.facebook.com);
    ``extra``: ``api_version``, ``app_secret`` (for apps that demand proofs, and to learn when the token expires),
    ``calls_per_second`` (default 2, Meta's limit per Page), ``max_response_mib`` (default 64) and ``call_timeout``
    (seconds, default 90), the most that one call may take. A setting that is empty is one that is not there.

    ``stop`` ends the calls of all its clients.
    """

    conn_name_attr = "meta_conn_id"
    default_conn_name = "meta_graph_default"
    conn_type = "meta_graph"
    hook_name = "Meta Graph API"

    def __init__(self, meta_conn_id: str = default_conn_name, stop: Stop | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meta_conn_id = meta_conn_id
        self.stop = stop or Stop()

    def get_conn(self) -> GraphClient:
        """A client under the Connection's own token.

        Raises ``AirflowNotFoundException`` without the Connection, ``TokenError`` for a token that cannot be one,
        ``InvalidRequestError`` for a host, version or pace that cannot be used.
        """
        settings = _Settings.of(self._connection(), self.stop)
        return settings.client(settings.credentials)

    def get_page(self, page_id: str, platform: str) -> PageAccess:
        """A client that speaks with the Page's own token, which Meta demands for conversations; one call.

        Raises what ``get_conn`` and ``page_identity`` raise.
        """
        settings = _Settings.of(self._connection(), self.stop)
        client = settings.client(settings.credentials, own_ids=(page_id,))
        identity = page_identity(client.get, page_id, with_instagram=platform == INSTAGRAM)
        _mask(Credentials(identity.token, settings.credentials.app_secret))
        client.use_page(identity)
        return PageAccess(client, identity)

    def list_pages(self) -> list[dict[str, Any]]:
        """The Pages that the token gives access to; one call per 100 Pages, and never a token in the result.

        ``page_id``, ``name``, ``instagram_account_id`` (None without a linked account), ``tasks`` (what the token's
        person may do there; None for a Page token, where Meta does not say) and ``lacks_messages_task``: a Page
        where the person may not read messages is in the list all the same, so that it is not missed in silence.
        """
        found = list_pages(self.get_conn().get)
        for page in found:
            if page.lacks_messages_task:
                self.log.warning("On Page %s the token's person lacks the task Messages.", page.page_id)
        return [
            {
                "page_id": page.page_id,
                "name": page.name,
                "instagram_account_id": page.instagram_account_id,
                "tasks": None if page.tasks is None else list(page.tasks),
                "lacks_messages_task": page.lacks_messages_task,
            }
            for page in found
        ]

    def token_info(self) -> TokenInfo:
        """Whose the token is, of which kind, what it may do and when it ends; 2 to 4 calls.

        Raises what ``get_conn`` raises, ``TokenError`` for a token that does not work, and what the calls raise.
        """
        settings = _Settings.of(self._connection(), self.stop)
        return token_info(settings.credentials, lambda credentials: settings.client(credentials).get)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the token reads any Page, and in one line whose it is, what it reads, what it lacks, when it ends.

        A Page token costs 2 calls, another one 3 and one for each further 100 Pages; an app secret in the connection
        one more, and one more where Meta does not let the token be inspected. No conversation is read for it.
        """
        try:
            settings = _Settings.of(self._connection(), self.stop)
            info, found = token_and_pages(settings.credentials, lambda credentials: settings.client(credentials).get)
        except (GraphError, AirflowNotFoundException) as error:
            return False, str(error)
        reads, line = describe(info, found, pendulum.now("UTC"))
        # The command ``airflow connections test`` itself shows the line of a failure only; its log shows this one.
        logger.info("%s", line)
        return reads, line

    def _connection(self) -> Connection:
        try:
            connection = self.get_connection(self.meta_conn_id)
        except AirflowNotFoundException:
            raise AirflowNotFoundException(
                f"There is no connection {self.meta_conn_id!r}: add one of type {self.conn_type} with the access token "
                f"as password, for example in the environment variable AIRFLOW_CONN_{self.meta_conn_id.upper()}."
            ) from None
        if connection.conn_type != self.conn_type:
            # The password of another service would be sent to a host as if it were a token of Meta's.
            raise InvalidRequestError(
                f"The connection {self.meta_conn_id!r} is not of type {self.conn_type}: name one that is."
            )
        return connection

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The extra fields of the form for Airflow 3.1; later versions read them from the provider's info."""
        from airflow_provider_metaconv.get_provider_info import CONNECTION_FIELDS

        # Loaded by name: wtforms is only where Airflow asks for the form, or stands in for it there.
        fields = import_module("wtforms")
        return {
            name: (fields.PasswordField if field["schema"].get("format") == "password" else fields.StringField)(
                field["label"], description=field["description"]
            )
            for name, field in CONNECTION_FIELDS.items()
        }

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The form of the Connection for Airflow 3.1; later versions read the same from the provider's info."""
        from airflow_provider_metaconv.get_provider_info import FIELD_BEHAVIOUR

        return {
            "hidden_fields": FIELD_BEHAVIOUR["hidden-fields"],
            "relabeling": FIELD_BEHAVIOUR["relabeling"],
            "placeholders": FIELD_BEHAVIOUR["placeholders"],
        }


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a Connection says, checked."""

    credentials: Credentials
    base_url: str
    api_version: str
    calls_per_second: float
    bounds: Bounds
    stop: Stop

    @classmethod
    def of(cls, connection: Connection, stop: Stop | None = None) -> _Settings:
        """The settings of a Connection; raises ``TokenError`` and ``InvalidRequestError`` for what cannot be used."""
        extra = ConnectionExtra(connection.extra)
        return cls(
            Credentials(connection.password or "", extra.text("app_secret")),
            _base_url(connection),
            extra.text("api_version") or API_VERSION,
            extra.positive("calls_per_second", CALLS_PER_SECOND),
            Bounds(
                int(extra.positive("max_response_mib", Bounds().response_bytes // MEBIBYTE) * MEBIBYTE),
                extra.positive("call_timeout", Bounds().call_seconds),
            ),
            stop or Stop(),
        )

    def client(self, credentials: Credentials, own_ids: Collection[str] = ()) -> GraphClient:
        """A client of its own under these credentials, which Airflow's logs mask from now on."""
        _mask(credentials)
        return GraphClient(
            graph_session(self.bounds, self.stop),
            credentials,
            base_url=self.base_url,
            api_version=self.api_version,
            own_ids=own_ids,
            pacer=Pacer(self.calls_per_second, sleep=self.stop.wait),
            sleep=self.stop.wait,
        )


def _mask(credentials: Credentials) -> None:
    for secret in (credentials.token, credentials.app_secret, *credentials.parameters.values()):
        if secret:
            mask_secret(secret)


def _base_url(connection: Connection) -> str:
    host = connection.host or BASE_URL
    return f"{host}:{connection.port}" if connection.port else host
