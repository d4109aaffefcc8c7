"""The links under the path that the provider listed before; they are defined in ``observability.links``."""

from airflow_provider_metaconv.observability.links import (
    ConversationsTableLink,
    FilesLink,
    MessagesTableLink,
    PageInboxLink,
)

__all__ = ["ConversationsTableLink", "FilesLink", "MessagesTableLink", "PageInboxLink"]
