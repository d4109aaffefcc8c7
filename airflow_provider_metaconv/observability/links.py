"""Links that Airflow shows beside a task: the Page's inbox, the files, the tables.

Airflow asks for a link when the task has ended, whatever its state; the operators push it as well when they begin, so
that it is there while they work. A link that does not exist is an empty text, which Airflow does not show.
"""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from airflow.providers.common.compat.sdk import BaseOperator, BaseOperatorLink, Context

CONSOLE = "https://console.cloud.google.com"


class PageInboxLink(BaseOperatorLink):
    """The Page's inbox on Meta: a plain convenience, for people with a role on the Page; Meta documents no address."""

    name = "Page inbox"

    @property
    def xcom_key(self) -> str:
        """Where Airflow keeps it."""
        return "metaconv_page_inbox_link"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Meta Business Suite with this Page chosen."""
        page_id = str(operator.page_id)
        if not (page_id.isascii() and page_id.isdigit()):
            return ""
        return f"https://business.facebook.com/latest/inbox/all?asset_id={page_id}"


class FilesLink(BaseOperatorLink):
    """The window's files in Google Cloud's console; a local folder has no address."""

    name = "Files"

    @property
    def xcom_key(self) -> str:
        """Where Airflow keeps it."""
        return "metaconv_files_link"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The folder beside the manifest."""
        manifest = operator.manifest_uri or ""
        if not manifest.startswith("gs://"):
            return ""
        folder = manifest.removeprefix("gs://").rpartition("/")[0]
        return f"{CONSOLE}/storage/browser/{quote(folder)}"


class BigQueryTableLink(BaseOperatorLink):
    """A table in Google Cloud's console."""

    table: ClassVar[str]

    @property
    def name(self) -> str:
        """What the button says."""
        return f"Table {self.table}"

    @property
    def xcom_key(self) -> str:
        """Where Airflow keeps it."""
        return f"metaconv_{self.table}_table_link"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The table's page, once the project is known."""
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
    """Makes the links that are known by now visible while the task works."""
    instance: Any = context["ti"]
    for link in operator.operator_extra_links:
        url = link.get_link(operator, ti_key=instance)
        if url:
            instance.xcom_push(key=link.xcom_key, value=url)
