"""The privacy policy of a task, with its key from an Airflow Connection. Only this module reads that Connection."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, mask_secret

from airflow_provider_metaconv.graph.redaction import remember
from airflow_provider_metaconv.privacy.policy import PrivacyPolicy
from airflow_provider_metaconv.privacy.pseudonyms import Pseudonyms
from airflow_provider_metaconv.privacy.rows import RowPrivacy
from airflow_provider_metaconv.privacy.scrubber import built_in, plugged_in


def row_privacy(
    privacy: str | Mapping[str, str], privacy_conn_id: str | None = None, scrubber: str | None = None
) -> RowPrivacy:
    """Return what the settings of a task let through; the key is only looked up if the policy needs it.

    Raises ``PolicyError`` for an invalid setting or key, and ``AirflowNotFoundException`` if the Connection does not
    exist.
    """
    policy = PrivacyPolicy.parse(privacy)
    if policy.is_full:
        return RowPrivacy()
    scrub = None
    if policy.scrubs:
        scrub = built_in() if scrubber is None else plugged_in(scrubber)
    return RowPrivacy(policy, None if privacy_conn_id is None else pseudonyms(privacy_conn_id), scrub)


def pseudonyms(privacy_conn_id: str) -> Pseudonyms:
    """Return the pseudonyms of the key in the Connection's password; raises as ``row_privacy`` does."""
    try:
        key = BaseHook.get_connection(privacy_conn_id).password or ""
    except AirflowNotFoundException:
        raise AirflowNotFoundException(
            f"Connection {privacy_conn_id!r} does not exist: add one whose password is the privacy key, for example in "
            f"the environment variable AIRFLOW_CONN_{privacy_conn_id.upper()}."
        ) from None
    mask_secret(key)
    remember(key)
    return Pseudonyms(key)
