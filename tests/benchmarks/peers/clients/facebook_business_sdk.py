"""facebook-business, Meta's SDK: nested messages, and its own cursors for both lists."""

from __future__ import annotations

import json

from facebook_business.adobjects.page import Page
from facebook_business.adobjects.unifiedthread import UnifiedThread
from facebook_business.api import FacebookAdsApi
from facebook_business.session import FacebookSession

from tests.benchmarks.peers.clients.measuring import MESSAGE_FIELDS, PAGE_ID, TOKEN, Job, json_lines_ids, run


def extract(job: Job) -> None:
    """Writes all messages of the Page as JSON lines."""
    FacebookSession.GRAPH = job.base_url
    # Its crash reporter would send tracebacks to Meta.
    FacebookAdsApi.init(access_token=TOKEN, api_version="v26.0", crash_log=False)
    asked = {"platform": "MESSENGER", "limit": job.shape.page_size}
    with (job.folder / "messages.jsonl").open("w") as out:
        for conversation in Page(PAGE_ID).get_conversations(fields=[job.nested_fields], params=asked):
            messages = conversation["messages"]
            out.writelines(json.dumps(message) + "\n" for message in messages["data"])
            if "next" in messages["paging"]:
                rest = {"limit": job.shape.follow_up, "after": messages["paging"]["cursors"]["after"]}
                cursor = UnifiedThread(conversation["id"]).get_messages(fields=[MESSAGE_FIELDS], params=rest)
                out.writelines(json.dumps(message.export_all_data()) + "\n" for message in cursor)


if __name__ == "__main__":
    run(extract, json_lines_ids)
