"""One task per connection that fails days before its token, or the token's data access, expires.

Airflow's usual alerts for failed tasks then notify you, with one line that says who must do what. A token that never
expires succeeds. Nothing here needs editing; settings come from the environment when the file is parsed:

* ``META_TOKEN_EXPIRY_CONN_IDS``: the connections, separated by commas (default ``meta_graph_default``)
* ``META_TOKEN_EXPIRY_WARN_DAYS``: how many days before the expiry to fail (default 14)
* ``META_TOKEN_EXPIRY_ON_UNKNOWN``: ``fail`` (default) or ``warn`` if Meta does not report when a token expires
* ``META_TOKEN_EXPIRY_SCHEDULE``: default ``@daily``
"""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.sdk import Asset, dag

from airflow_provider_metaconv.observability.coverage_event import ACCESS_ASSET
from airflow_provider_metaconv.operators.token import MetaTokenExpiryOperator

CONN_IDS = os.environ.get("META_TOKEN_EXPIRY_CONN_IDS", "meta_graph_default")
WARN_DAYS = os.environ.get("META_TOKEN_EXPIRY_WARN_DAYS", "14")
ON_UNKNOWN = os.environ.get("META_TOKEN_EXPIRY_ON_UNKNOWN", "fail")
SCHEDULE = os.environ.get("META_TOKEN_EXPIRY_SCHEDULE", "@daily")


@dag(
    schedule=SCHEDULE,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["meta", "conversations"],
    doc_md=__doc__,
)
def meta_token_expiry() -> None:
    """One task per connection, so that one expiring token does not hide another."""
    MetaTokenExpiryOperator.partial(
        task_id="check_token",
        warn_before=timedelta(days=float(WARN_DAYS)),
        on_unknown=ON_UNKNOWN,
        outlets=[Asset(ACCESS_ASSET)],
        map_index_template="{{ task.meta_conn_id }}",
    ).expand(meta_conn_id=[name.strip() for name in CONN_IDS.split(",") if name.strip()])


meta_token_expiry()
