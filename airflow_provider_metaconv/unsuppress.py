"""Takes people off the suppression list of a destination, so that later runs extract them again.

python -m airflow_provider_metaconv.unsuppress /data/conversations 24681357
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_metaconv.erase.erase import change_suppressed, read_suppressed
from airflow_provider_metaconv.files.errors import FilesError
from airflow_provider_metaconv.hooks.google_cloud import GCP_CONN_ID, GoogleCloud
from airflow_provider_metaconv.operators.erase import checked_person_ids
from airflow_provider_metaconv.privacy.policy import PolicyError


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the people off the list; returns 1, with one line on stderr, if that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_metaconv.unsuppress", description=__doc__)
    parser.add_argument("destination", help="a folder, or gs://bucket/prefix")
    parser.add_argument("person_ids", nargs="+", metavar="person_id")
    parser.add_argument("--gcp-conn-id", default=GCP_CONN_ID, help="the connection for a bucket")
    options = parser.parse_args(arguments)
    try:
        people = checked_person_ids(options.person_ids)
        root = GoogleCloud(options.gcp_conn_id).open_storage(options.destination)
        before = read_suppressed(root)
        listed = [person for person in people if person in before]
        if listed:
            change_suppressed(root, lambda found: found.without(listed))
    except (AirflowException, FilesError, ImportError, PolicyError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{len(listed)} of {len(people)} were on the list, and are no longer.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
