"""python-facebook-api: nested messages, and its generic connection reader, which collects whole lists."""

from __future__ import annotations

import json

from pyfacebook import GraphAPI

from tests.benchmarks.peers.clients.measuring import MESSAGE_FIELDS, PAGE_ID, TOKEN, Job, json_lines_ids, run


def extract(job: Job) -> None:
    """Writes all messages of the Page as JSON lines."""
    api = GraphAPI(access_token=TOKEN, base_url=f"{job.base_url}/", version="v25.0")
    # Without count=None it stops after 10.
    conversations = api.get_full_connections(
        object_id=PAGE_ID,
        connection="conversations",
        count=None,
        limit=job.shape.page_size,
        fields=job.nested_fields,
        platform="MESSENGER",
    )
    with (job.folder / "messages.jsonl").open("w") as out:
        for conversation in conversations["data"]:
            messages = conversation["messages"]
            out.writelines(json.dumps(message) + "\n" for message in messages["data"])
            if "next" in messages["paging"]:
                rest = api.get_full_connections(
                    object_id=conversation["id"],
                    connection="messages",
                    count=None,
                    limit=job.shape.follow_up,
                    fields=MESSAGE_FIELDS,
                    after=messages["paging"]["cursors"]["after"],
                )
                out.writelines(json.dumps(message) + "\n" for message in rest["data"])


if __name__ == "__main__":
    run(extract, json_lines_ids)
