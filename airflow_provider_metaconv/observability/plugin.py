"""The plugin that adds the coverage page to Airflow's navigation and to the page of every DAG."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin
from airflow.providers.common.compat.sdk import conf

from airflow_provider_metaconv.observability.coverage_page import URL_PREFIX, CoveragePage


def page_url(base_url: str) -> str:
    """Return the path of the coverage page in Airflow at ``base_url``, which may have a path of its own.

    >>> page_url("https://example.com/airflow/")
    '/airflow/meta-conversations/'
    """
    return f"{urlsplit(base_url).path.rstrip('/')}{URL_PREFIX}/"


def views_of(page: str) -> list[dict[str, Any]]:
    """Return the two places in Airflow's UI that show the page at this path."""
    of_one_dag = f"{page}?dag_id={{DAG_ID}}"
    return [
        {"name": "Coverage", "destination": "nav", "category": "browse", "href": page, "url_route": "meta-coverage"},
        {"name": "Coverage", "destination": "dag", "href": of_one_dag, "url_route": "meta-coverage-dag"},
    ]


def applications() -> list[dict[str, Any]]:
    """Return the application that Airflow's api-server mounts."""
    return [{"app": CoveragePage(), "url_prefix": URL_PREFIX, "name": "Coverage of Meta conversations"}]


class MetaConversationsPlugin(AirflowPlugin):
    """Serves the coverage page and shows it in Airflow's UI."""

    name = "meta_conversations"
    fastapi_apps = applications()
    external_views = views_of(page_url(conf.get("api", "base_url", fallback="/")))
