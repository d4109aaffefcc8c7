"""An operator that fails ahead of time, before a connection's token or its data access expires."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException, Asset, Context

from airflow_provider_metaconv.graph.token import NEVER, TokenInfo
from airflow_provider_metaconv.graph.token_advice import end_unknown, ending_soon
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook
from airflow_provider_metaconv.observability.coverage_event import ACCESS_ASSET, access_extra
from airflow_provider_metaconv.operators.stopping import StoppableOperator
from airflow_provider_metaconv.retry_policy import HAS_RETRY_POLICY, MetaGraphRetryPolicy, fail_fast

OnUnknown = Literal["fail", "warn"]


class MetaTokenExpiryOperator(StoppableOperator):
    """Fails from ``warn_before`` the expiry of a connection's token or data access, with one line on who must act.

    A token that never expires succeeds. If Meta does not report when a token expires, ``on_unknown`` decides:
    ``"fail"`` (the default, because otherwise there would be no warning) or ``"warn"``. Returns the kind of token, its
    owner's ID and its two expiry times: ISO 8601, ``"never"``, or None if Meta does not report it. Costs 2 to 4 calls.
    The event of the asset ``meta_conversations_access`` in the task's ``outlets`` includes the two times.
    """

    template_fields: Sequence[str] = ("meta_conn_id",)

    def __init__(
        self,
        *,
        warn_before: timedelta = timedelta(days=14),
        on_unknown: OnUnknown = "fail",
        meta_conn_id: str = MetaGraphHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.warn_before = warn_before
        self.on_unknown = on_unknown
        self.meta_conn_id = meta_conn_id
        if HAS_RETRY_POLICY and self.retry_policy is None:
            self.retry_policy = MetaGraphRetryPolicy()

    def execute(self, context: Context) -> dict[str, Any]:
        """Check the token; raises ``AirflowFailException`` if someone must act."""
        if self.on_unknown not in ("fail", "warn"):
            raise AirflowFailException(f'on_unknown must be "fail" or "warn", not {self.on_unknown!r}.')
        info = self._token_info()
        line = ending_soon(info, pendulum.now("UTC"), self.warn_before)
        unknown = end_unknown(info)
        if line is None and self.on_unknown == "fail":
            line = unknown
        if line is not None:
            raise AirflowFailException(f"Connection {self.meta_conn_id}: {line}")
        if unknown is not None:
            self.log.warning("%s", unknown)
        result = _result(info)
        for asset in self.outlets:
            if isinstance(asset, Asset) and asset.name == ACCESS_ASSET:
                context["outlet_events"][asset].extra.update(access_extra(self.meta_conn_id, result))
        return result

    def _token_info(self) -> TokenInfo:
        with fail_fast(), self.until_stopped() as stop:
            return MetaGraphHook(self.meta_conn_id, stop).token_info()


def _result(info: TokenInfo) -> dict[str, Any]:
    return {
        "kind": info.kind,
        "owner_id": info.owner_id,
        "expires_at": _iso_or_never(info.expires_at),
        "data_access_expires_at": _iso_or_never(info.data_access_expires_at),
    }


def _iso_or_never(at: datetime | None) -> str | None:
    if at is None:
        return None
    return "never" if at == NEVER else at.isoformat()
