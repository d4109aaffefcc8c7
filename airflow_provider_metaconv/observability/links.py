"""Links that Airflow shows for a task: the Page's inbox, the files and the tables.

Airflow requests links when the task has ended, whatever its state. The operators also push them at the start, so that
they are available while the task runs. An empty link is not shown.
"""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from airflow.providers.common.compat.sdk import BaseOperator, BaseOperatorLink, Context

CONSOLE = "https://console.cloud.google.com"


class PageInboxLink(BaseOperatorLink):
    """The Page's inbox on Meta, for people with a role on the Page. Meta does not document its URL."""

    name = "Page inbox"

    @property
    def xcom_key(self) -> str:
        """The XCom key of the link."""
        return "metaconv_page_inbox_link"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL of Meta Business Suite for this Page."""
        page_id = str(operator.page_id)
        if not (page_id.isascii() and page_id.isdigit()):
            return ""
        return f"https://business.facebook.com/latest/inbox/all?asset_id={page_id}"


class FilesLink(BaseOperatorLink):
    """The window's files in the Google Cloud console; empty for a local folder."""

    name = "Files"

    @property
    def xcom_key(self) -> str:
        """The XCom key of the link."""
        return "metaconv_files_link"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL of the manifest's folder."""
        manifest = operator.manifest_uri or ""
        if not manifest.startswith("gs://"):
            return ""
        folder = manifest.removeprefix("gs://").rpartition("/")[0]
        return f"{CONSOLE}/storage/browser/{quote(folder)}"


class BigQueryTableLink(BaseOperatorLink):
    """A table in the Google Cloud console."""

    table: ClassVar[str]

    @property
    def name(self) -> str:
        """The label of the button."""
        return f"Table {self.table}"

    @property
    def xcom_key(self) -> str:
        """The XCom key of the link."""
        return f"metaconv_{self.table}_table_link"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL of the table, once the project is known."""
        project, _, dataset = (operator.full_dataset or "").rpartition(".")
        if not project:
            return ""
        return f"{CONSOLE}/bigquery?" + urlencode({"p": project, "d": dataset, "t": self.table, "page": "table"})


class MessagesTableLink(BigQueryTableLink):
    """The table ``messages``."""

    table = "messages"


class ConversationsTableLink(BigQueryTableLink):
    """The table ``conversations``."""

    table = "conversations"


def push_links(operator: BaseOperator, context: Context) -> None:
    """Push the links that are already known, so that they are visible while the task runs."""
    instance: Any = context["ti"]
    for link in operator.operator_extra_links:
        url = link.get_link(operator, ti_key=instance)
        if url:
            instance.xcom_push(key=link.xcom_key, value=url)
