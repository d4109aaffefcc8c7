"""The page for people at ``/_emulator/``: what there is, which tokens to use, which commands to try."""

from __future__ import annotations

from html import escape

from .model import PLATFORMS
from .service import GraphService
from .tokens import SYSTEM_USER_TOKEN, USER_TOKEN

STYLE = "body{font-family:sans-serif;max-width:60em;margin:2em auto}td,th{padding:.2em 1em;text-align:left}"


def landing_page(service: GraphService, url: str) -> str:
    """Return the HTML page; everything on it is a trial value."""
    world, tokens = service.world, service.tokens.page_tokens
    rows = "".join(
        f"<tr><td>{escape(page.id)}</td><td>{escape(page.name)}</td><td><code>{escape(tokens[page.id])}</code></td>"
        + "".join(f"<td>{len(world.all_conversations(page.id, platform)):,}</td>" for platform in PLATFORMS)
        + "</tr>"
        for page in world.pages.values()
    )
    commands = "\n".join(escape(line) for line in example_commands(service, url))
    return (
        f"<!DOCTYPE html><html><head><title>Graph API emulator</title><style>{STYLE}</style></head><body>"
        "<h1>Graph API emulator</h1><p>A local stand-in for Meta's Conversations API. "
        "Nothing here is real: neither people nor tokens.</p>"
        f"<p>User token <code>{USER_TOKEN}</code>, system user token <code>{SYSTEM_USER_TOKEN}</code>, "
        f"app secret <code>{escape(service.settings.app_secret)}</code>.</p>"
        "<table><tr><th>Page</th><th>Name</th><th>Page token</th><th>Messenger threads</th>"
        f"<th>Instagram threads</th></tr>{rows}</table>"
        f"<p>{len(world.messages):,} messages.</p><h2>Try</h2><pre>{commands}</pre></body></html>"
    )


def example_commands(service: GraphService, url: str) -> list[str]:
    """Return curl lines that work as they stand."""
    page_id, token = next(iter(service.tokens.page_tokens.items()))
    fields = "id,updated_time,messages.limit(5){id,created_time,from,message}"
    bearer = f"-H 'Authorization: Bearer {token}'"
    return [
        f"curl '{url}/v26.0/me/accounts?access_token={USER_TOKEN}'",
        f"curl -g {bearer} '{url}/v26.0/{page_id}/conversations?platform=MESSENGER&limit=3&fields={fields}'",
        f"curl '{url}/_emulator/truth'",
        f"curl '{url}/_emulator/statistics'",
        f"""curl '{url}/_emulator/faults' -d '{{"name": "80006", "times": 1, "block_seconds": 60}}'""",
        f"""curl '{url}/_emulator/arrivals' -d '{{"messages": 10, "seed": 7}}'""",
        f"curl -X DELETE '{url}/_emulator/faults'",
    ]
