"""Graph clients from an Airflow Connection of type ``meta_graph``. Only this module reads the Connection."""

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
    """A client that uses the Page's own token, and the Page's identity."""

    client: GraphClient
    identity: PageIdentity


class MetaGraphHook(BaseHook):
    """Creates rate-limited clients for Meta's Graph API from one Connection.

    The Connection: ``password`` is a Page, user or system user token; ``host`` (default https://graph.facebook.com);
    ``extra``: ``api_version``, ``app_secret`` (for apps that require ``appsecret_proof``, and to look up when the token
    expires), ``calls_per_second`` (default 2, Meta's limit per Page), ``max_response_mib`` (default 64) and
    ``call_timeout`` (seconds per call, default 90). An empty setting counts as missing.

    ``stop`` cancels the calls of all clients.
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
        """Return a client that uses the Connection's token.

        Raises ``AirflowNotFoundException`` if the Connection does not exist, ``TokenError`` for a malformed token, and
        ``InvalidRequestError`` for an invalid setting, such as the host or API version.
        """
        settings = _Settings.of(self._connection(), self.stop)
        return settings.client(settings.credentials)

    def get_page(self, page_id: str, platform: str) -> PageAccess:
        """Return a client that uses the Page's own token, which Meta requires for conversations. Costs one call.

        Raises what ``get_conn`` and ``page_identity`` raise.
        """
        settings = _Settings.of(self._connection(), self.stop)
        client = settings.client(settings.credentials, own_ids=(page_id,))
        identity = page_identity(client.get, page_id, with_instagram=platform == INSTAGRAM)
        _mask(Credentials(identity.token, settings.credentials.app_secret))
        client.use_page(identity)
        return PageAccess(client, identity)

    def list_pages(self) -> list[dict[str, Any]]:
        """Return the Pages that the token gives access to, without their tokens. Costs one call per 100 Pages.

        Each has ``page_id``, ``name``, ``instagram_account_id`` (None without a linked account), ``tasks`` (the
        person's tasks on the Page, None for a Page token) and ``lacks_messages_task``. Pages on which the person may
        not read messages are included, so that they are not missed silently.
        """
        found = list_pages(self.get_conn().get)
        for page in found:
            if page.lacks_messages_task:
                self.log.warning("The token's user lacks the Messages task on Page %s.", page.page_id)
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
        """Return the token's kind, owner, permissions and expiry. Costs 2 to 4 calls.

        Raises what ``get_conn`` raises, ``TokenError`` for a token that does not work, and what the calls raise.
        """
        settings = _Settings.of(self._connection(), self.stop)
        return token_info(settings.credentials, lambda credentials: settings.client(credentials).get)

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the token can read any Page, and one line on its owner, Pages, permissions and expiry.

        A Page token costs 2 calls; any other token costs 3, and one more per further 100 Pages. An app secret in the
        Connection adds one call, or two if Meta does not let the token be inspected. Reads no conversations.
        """
        try:
            settings = _Settings.of(self._connection(), self.stop)
            info, found = token_and_pages(settings.credentials, lambda credentials: settings.client(credentials).get)
        except (GraphError, AirflowNotFoundException) as error:
            return False, str(error)
        reads, line = describe(info, found, pendulum.now("UTC"))
        # ``airflow connections test`` prints this line only for a failure, so it is logged as well.
        logger.info("%s", line)
        return reads, line

    def _connection(self) -> Connection:
        try:
            connection = self.get_connection(self.meta_conn_id)
        except AirflowNotFoundException:
            raise AirflowNotFoundException(
                f"Connection {self.meta_conn_id!r} does not exist: add one of type {self.conn_type} with the access "
                f"token as password, for example in the environment variable AIRFLOW_CONN_{self.meta_conn_id.upper()}."
            ) from None
        if connection.conn_type != self.conn_type:
            # Another service's password must not be sent to Meta as an access token.
            raise InvalidRequestError(
                f"Connection {self.meta_conn_id!r} is not of type {self.conn_type}: choose one that is."
            )
        return connection

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The extra fields of the connection form in Airflow 3.1; later versions read them from the provider info."""
        from airflow_provider_metaconv.get_provider_info import CONNECTION_FIELDS

        # Imported by name, because wtforms (or a stub of it) is available only where Airflow requests the form.
        fields = import_module("wtforms")
        return {
            name: (fields.PasswordField if field["schema"].get("format") == "password" else fields.StringField)(
                field["label"], description=field["description"]
            )
            for name, field in CONNECTION_FIELDS.items()
        }

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The layout of the connection form in Airflow 3.1; later versions read it from the provider info."""
        from airflow_provider_metaconv.get_provider_info import FIELD_BEHAVIOUR

        return {
            "hidden_fields": FIELD_BEHAVIOUR["hidden-fields"],
            "relabeling": FIELD_BEHAVIOUR["relabeling"],
            "placeholders": FIELD_BEHAVIOUR["placeholders"],
        }


@dataclass(frozen=True, slots=True)
class _Settings:
    """The validated settings of a Connection."""

    credentials: Credentials
    base_url: str
    api_version: str
    calls_per_second: float
    bounds: Bounds
    stop: Stop

    @classmethod
    def of(cls, connection: Connection, stop: Stop | None = None) -> _Settings:
        """Read a Connection's settings; raises ``TokenError`` or ``InvalidRequestError`` for invalid ones."""
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
        """Return a new client with these credentials, and mask them in Airflow's logs."""
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
