"""The metadata that Airflow's provider manager requests from every provider package."""

from __future__ import annotations

from typing import Any

FIELD_BEHAVIOUR: dict[str, Any] = {
    # The port is shown for the test button: some versions of Airflow cannot test a stored connection without one.
    "hidden-fields": ["login", "schema"],
    "relabeling": {"password": "Access token", "host": "Host"},
    "placeholders": {
        "host": "https://graph.facebook.com",
        "port": "443",
        "password": "Page, user or system user token",
    },
}

CONNECTION_FIELDS: dict[str, Any] = {
    "api_version": {
        "label": "API version",
        "description": "Version of the Graph API; default: v26.0.",
        "schema": {"type": ["string", "null"], "pattern": "^v[0-9]+\\.[0-9]+$"},
    },
    "app_secret": {
        "label": "App secret",
        "description": (
            "Secret of the app that issued the token. Needed if the app requires appsecret_proof, and to look up when "
            "the token expires."
        ),
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "calls_per_second": {
        "label": "Calls a second",
        "description": "Calls per second per Page, greater than 0; default: 2, Meta's limit.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0, "default": 2},
    },
    "max_response_mib": {
        "label": "Largest response (MiB)",
        "description": "Maximum decompressed size of a response; default: 64. Above it, less data is requested.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0, "default": 64},
    },
    "call_timeout": {
        "label": "Longest call (s)",
        "description": "Maximum seconds for a complete response; default: 90. After that, less data is requested.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0, "default": 90},
    },
}

_INTEGRATION = "Meta Conversations"
# The names used by Google's own provider.
_CLOUD_STORAGE = "Google Cloud Storage (GCS)"
_BIGQUERY = "Google BigQuery"


def get_provider_info() -> dict[str, Any]:
    """Return the package's metadata in Airflow's provider schema."""
    return {
        "package-name": "airflow-provider-metaconv",
        "name": "Meta Conversations",
        "description": "Conversations of Facebook Pages on Messenger and Instagram, into files and a warehouse.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://developers.facebook.com/docs/messenger-platform/conversations",
                "tags": ["service"],
            }
        ],
        "hooks": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_provider_metaconv.hooks.meta_graph"],
            }
        ],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_provider_metaconv.operators.erase",
                    "airflow_provider_metaconv.operators.extract",
                    "airflow_provider_metaconv.operators.load",
                    "airflow_provider_metaconv.operators.retention",
                    "airflow_provider_metaconv.operators.token",
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_provider_metaconv.triggers.bigquery_jobs"],
            }
        ],
        "transfers": [
            {
                "source-integration-name": _INTEGRATION,
                "target-integration-name": _CLOUD_STORAGE,
                "python-module": "airflow_provider_metaconv.operators.extract",
            },
            {
                "source-integration-name": _CLOUD_STORAGE,
                "target-integration-name": _BIGQUERY,
                "python-module": "airflow_provider_metaconv.operators.load",
            },
        ],
        "extra-links": [
            f"airflow_provider_metaconv.observability.links.{name}"
            for name in ("PageInboxLink", "FilesLink", "MessagesTableLink", "ConversationsTableLink")
        ],
        "connection-types": [
            {
                "connection-type": "meta_graph",
                "hook-class-name": "airflow_provider_metaconv.hooks.meta_graph.MetaGraphHook",
                "hook-name": "Meta Graph API",
                "ui-field-behaviour": FIELD_BEHAVIOUR,
                "conn-fields": CONNECTION_FIELDS,
            }
        ],
    }
