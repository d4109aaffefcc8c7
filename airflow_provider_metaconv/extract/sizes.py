"""How much one call asks for: as much as Meta hands over, less when it says "reduce the amount of data"."""

from __future__ import annotations

from dataclasses import dataclass, replace

from airflow_provider_metaconv.records import INSTAGRAM


@dataclass(frozen=True, slots=True)
class Sizes:
    """Conversations per list call, messages nested in each, messages per call of a conversation that goes on."""

    conversations: int
    nested_messages: int
    messages: int = 100

    def at_most(self, other: Sizes) -> Sizes:
        """The lesser of both in each respect."""
        return Sizes(
            min(self.conversations, other.conversations),
            min(self.nested_messages, other.nested_messages),
            min(self.messages, other.messages),
        )

    def smaller_list(self) -> Sizes | None:
        """Half the conversations, and at one conversation half its messages; None: it cannot be smaller."""
        if self.conversations > 1:
            return replace(self, conversations=self.conversations // 2)
        if self.nested_messages > 1:
            return replace(self, nested_messages=self.nested_messages // 2)
        return None

    def smaller_messages(self) -> Sizes | None:
        """Half the messages per call; None: it cannot be smaller."""
        return replace(self, messages=self.messages // 2) if self.messages > 1 else None


# Reported to work: 100 conversations with 100 messages each on Messenger; Meta is reported to cap at 200 and 100.
# Instagram is reported to fail on large nested reads, and shows details of 20 messages only.
MESSENGER_SIZES = Sizes(conversations=100, nested_messages=50)
INSTAGRAM_SIZES = Sizes(conversations=50, nested_messages=20)


def default_sizes(platform: str) -> Sizes:
    """The sizes to start with on a platform."""
    return INSTAGRAM_SIZES if platform == INSTAGRAM else MESSENGER_SIZES
