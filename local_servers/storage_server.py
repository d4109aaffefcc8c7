"""The process of the storage server: gcp-storage-emulator with fixes.

`servers` starts it in its own environment; see `main` for its options.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import re
import threading
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

from gcp_storage_emulator import server
from gcp_storage_emulator.exceptions import BadRequest, NotFound
from gcp_storage_emulator.handlers import buckets, objects
from gcp_storage_emulator.server import Request, Response

from . import parent_watchdog
from .storage_objects import RepairedStorage
from .storage_rules import (
    Refused,
    check_composed,
    check_existing,
    check_source,
    check_writing,
    no_such_bucket,
    no_such_object,
)

Handler = Callable[..., None]
LONGEST_PAGE = 1_000
MEDIA_LINK = re.compile(r'("mediaLink": ")https?://[^/"]+')
log = logging.getLogger(__name__)


def conditions_of(request: Request) -> dict[str, str]:
    """Return the query parameters, each of which occurs once."""
    return {name: values[0] for name, values in request.query.items()}


# Before the emulator's handler


def before_upload(request: Request, _response: Response, storage: RepairedStorage) -> None:
    """Check what a new object, or a new resumable upload, would replace."""
    if "upload_id" in request.query:
        return before_chunk(request, _response, storage)
    bucket = request.params["bucket_name"]
    if bucket not in storage.buckets:
        raise no_such_bucket()
    name = conditions_of(request).get("name") or _name_in_body(request.data)
    if not name:
        raise Refused(400, "required", "Required parameter: name")
    return check_writing(conditions_of(request), storage.objects.get(bucket, {}).get(name))


def before_chunk(request: Request, _response: Response, storage: RepairedStorage) -> None:
    """Check what a resumable upload would replace: its conditions must hold at the end as well as at the start."""
    upload_id = conditions_of(request).get("upload_id", "")
    if upload_id in storage.finished_uploads:
        return
    session = storage.resumable.get(upload_id)
    if session is None:
        raise Refused(404, "notFound", "There is no such upload session.")
    current = storage.objects.get(session["bucket"], {}).get(session["name"])
    check_writing(conditions_of(request), current)


def before_read(request: Request, _response: Response, storage: RepairedStorage) -> None:
    """Check that the object exists in the requested generation."""
    check_existing(conditions_of(request), _existing(request, storage), reading=True)


def before_change(request: Request, _response: Response, storage: RepairedStorage) -> None:
    """Check the object to be changed or deleted."""
    check_existing(conditions_of(request), _existing(request, storage), reading=False)


def before_copy(request: Request, _response: Response, storage: RepairedStorage) -> None:
    """Check the source and what the copy would replace."""
    check_source(conditions_of(request), _existing(request, storage))
    bucket = request.params["dest_bucket_name"]
    if bucket not in storage.buckets:
        raise no_such_bucket()
    check_writing(conditions_of(request), storage.objects.get(bucket, {}).get(request.params["dest_object_id"]))


def before_compose(request: Request, _response: Response, storage: RepairedStorage) -> None:
    """Check the sources and what the composed object would replace."""
    bucket = request.params["bucket_name"]
    if bucket not in storage.buckets:
        raise no_such_bucket()
    existing = storage.objects.get(bucket, {})
    check_composed(bucket, request.data["sourceObjects"], existing)
    check_writing(conditions_of(request), existing.get(request.params["object_id"]))


def _existing(request: Request, storage: RepairedStorage) -> dict[str, Any]:
    bucket, name = request.params["bucket_name"], request.params["object_id"]
    if bucket not in storage.buckets:
        raise no_such_bucket()
    try:
        found: dict[str, Any] = storage.objects[bucket][name]
    except KeyError:
        raise no_such_object(bucket, name) from None
    return found


def _name_in_body(body: Any) -> str | None:
    metadata = body.get("meta", body) if isinstance(body, dict) else {}
    name: str | None = metadata.get("name")
    return name


# Instead of the emulator's handler


def upload(request: Request, response: Response, storage: RepairedStorage) -> None:
    """Store an object, start a resumable upload, or accept a chunk sent by POST."""
    if "upload_id" in request.query:
        take_chunk(request, response, storage)
    else:
        objects.insert(request, response, storage)


def take_chunk(request: Request, response: Response, storage: RepairedStorage) -> None:
    """Accept a chunk. For a finished upload, repeat the last response: it may have been lost."""
    upload_id = conditions_of(request)["upload_id"]
    if upload_id in storage.finished_uploads:
        response.json(storage.finished_uploads[upload_id])
        return
    objects.upload_partial(request, response, storage)
    unfinished = response.status == objects.GoogleHTTPStatus.RESUME_INCOMPLETE
    if unfinished and not storage.get_resumable_byte_count(upload_id):
        del response._headers["Range"]  # it would report that one byte arrived


def list_objects(request: Request, response: Response, storage: RepairedStorage) -> None:
    """Respond with one page of names and prefixes, sorted together."""
    asked = conditions_of(request)
    try:
        found, prefixes = storage.get_file_list(
            request.params["bucket_name"], asked.get("prefix"), asked.get("delimiter"), asked.get("matchGlob")
        )
    except NotFound:
        raise no_such_bucket() from None
    except BadRequest as error:
        raise Refused(400, "invalid", str(error)) from error
    after = base64.urlsafe_b64decode(asked["pageToken"]).decode() if "pageToken" in asked else ""
    rows: list[tuple[str, dict[str, Any] | None]] = [(each["name"], each) for each in found]
    rows += [(prefix, None) for prefix in prefixes]
    rows = sorted((row for row in rows if row[0] > after and _in_range(row[0], asked)), key=lambda row: row[0])
    length = min(int(asked.get("maxResults", LONGEST_PAGE)), LONGEST_PAGE)
    page = rows[:length]
    answer: dict[str, Any] = {"kind": "storage#objects"}
    if items := [row for _, row in page if row is not None]:
        answer["items"] = items
    if folders := [name for name, row in page if row is None]:
        answer["prefixes"] = folders
    if len(rows) > length:
        answer["nextPageToken"] = base64.urlsafe_b64encode(page[-1][0].encode()).decode()
    response.json(answer)


def refuse_batch(request: Request, response: Response, storage: RepairedStorage) -> None:
    """Refuse batch requests: the emulator would ignore their conditions."""
    raise Refused(501, "notImplemented", "this server does not support batch requests")


def _in_range(name: str, asked: dict[str, str]) -> bool:
    return asked.get("startOffset", "") <= name and ("endOffset" not in asked or name < asked["endOffset"])


# After the emulator's handler


def after_read(request: Request, response: Response, storage: RepairedStorage) -> None:
    """Add the headers of a download, and decompress gzip for clients that do not accept it."""
    if request.path.startswith("/storage/") and conditions_of(request).get("alt") != "media":
        return
    found = _existing(request, storage)
    if "X-Goog-Hash" in response._headers and found["md5Hash"] is None:
        response["X-Goog-Hash"] = f"crc32c={found['crc32c']}"
    response["X-Goog-Generation"] = found["generation"]
    response["X-Goog-Metageneration"] = found["metageneration"]
    response["X-Goog-Stored-Content-Length"] = found["size"]
    response["X-Goog-Stored-Content-Encoding"] = found.get("contentEncoding", "identity")
    # The BigQuery server caches an object as long as this stays the same.
    response["ETag"] = f'"{found["generation"]}"'
    response["Last-Modified"] = format_datetime(datetime.fromisoformat(found["updated"]), usegmt=True)
    response["Accept-Ranges"] = "bytes"
    if found.get("contentEncoding") != "gzip" or response.status != HTTPStatus.OK:
        return
    if "gzip" in request.get_header("Accept-Encoding", ""):
        response["Content-Encoding"] = "gzip"
    elif request.method == "GET":
        response.write_file(gzip.decompress(response._content), found["contentType"])


def after_compose(request: Request, response: Response, storage: RepairedStorage) -> None:
    """Set the component count and remove the MD5."""
    bucket, name = request.params["bucket_name"], request.params["object_id"]
    composed = storage.objects[bucket][name]
    parts = [storage.objects[bucket].get(each["name"], {}) for each in request.data["sourceObjects"]]
    composed["componentCount"] = sum(part.get("componentCount", 1) for part in parts)
    composed["md5Hash"] = None
    storage.patch_object(bucket, name, composed)
    response.json(composed)


def after_delete(_request: Request, response: Response, _storage: RepairedStorage) -> None:
    """Respond without content."""
    response.status = HTTPStatus.NO_CONTENT


BEFORE: dict[Handler, Handler] = {
    objects.insert: before_upload,
    objects.upload_partial: before_chunk,
    objects.get: before_read,
    objects.download: before_read,
    objects.patch: before_change,
    objects.delete: before_change,
    objects.copy: before_copy,
    objects.rewrite: before_copy,
    objects.compose: before_compose,
}
INSTEAD: dict[Handler, Handler] = {
    objects.insert: upload,
    objects.upload_partial: take_chunk,
    objects.ls: list_objects,
    objects.batch: refuse_batch,
}
AFTER: dict[Handler, Handler] = {
    objects.get: after_read,
    objects.download: after_read,
    objects.compose: after_compose,
    objects.delete: after_delete,
    buckets.delete: after_delete,
}
STATUS_ERRORS = {
    HTTPStatus.NOT_FOUND: no_such_bucket(),  # missing objects were detected before
    HTTPStatus.BAD_REQUEST: Refused(400, "invalid", "Invalid request"),
    HTTPStatus.CONFLICT: Refused(409, "conflict", "The bucket you tried to delete is not empty."),
}


def repaired(handler: Handler, lock: threading.RLock) -> Handler:
    """Return an emulator's handler with the real service's behaviour before, instead and after."""
    before, act, after = BEFORE.get(handler), INSTEAD.get(handler, handler), AFTER.get(handler)

    def handle(request: Request, response: Response, storage: RepairedStorage) -> None:
        try:
            request.data  # noqa: B018 - reads the body, outside the lock, and even if it is not wanted
            with lock:
                if before is not None:
                    before(request, response, storage)
                act(request, response, storage)
                if after is not None and response.status < HTTPStatus.BAD_REQUEST:
                    after(request, response, storage)
            if not response._content and response.status in STATUS_ERRORS:
                _refuse(response, STATUS_ERRORS[response.status])
        except Refused as refused:
            _refuse(response, refused)
        except Exception as error:
            log.exception("%s %s", request.method, request.full_url)
            _refuse(response, Refused(500, "backendError", repr(error)))
        if isinstance(response._content, str):
            # Clients download from this link: it must have the address that they use, not the uploader's.
            response._content = MEDIA_LINK.sub(rf"\g<1>{request.base_url}", response._content)

    return handle


def _refuse(response: Response, refused: Refused) -> None:
    if refused.code == HTTPStatus.NOT_MODIFIED:
        response.status = HTTPStatus.NOT_MODIFIED
        response._content = ""
        return
    response.status = HTTPStatus(refused.code)
    response.json(refused.body())


class Connection(server.RequestHandler):  # type: ignore[misc]  # its package has no types
    """One connection, kept open for many requests."""

    wfile: Any
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # sends headers and body together

    def do_HEAD(self) -> None:  # noqa: N802 - the name http.server calls
        """Respond as to GET, without the body."""
        output, self.wfile = self.wfile, _HeadersOnly(self.wfile)
        try:
            server.Router(self).handle("GET")
        finally:
            self.wfile = output

    def handle_one_request(self) -> None:
        """Handle one request. The emulator does not read the end of a chunked body: close the connection then."""
        super().handle_one_request()
        headers = getattr(self, "headers", None)
        if headers is not None and "chunked" in headers.get("Transfer-Encoding", ""):
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name in http.server
        """Log nothing: the proxy logs the requests."""


class _HeadersOnly:
    """An output that keeps the headers, up to the first empty line, and drops the rest."""

    def __init__(self, output: Any) -> None:
        self._output = output
        self._ended = False

    def write(self, data: bytes) -> int:
        if not self._ended:
            self._output.write(data)
            self._ended = data.endswith(b"\r\n\r\n")
        return len(data)

    def flush(self) -> None:
        self._output.flush()


class StorageHTTPServer(ThreadingHTTPServer):
    """Serves many connections concurrently; operations on objects run one at a time."""

    daemon_threads = True
    request_queue_size = 128


def read_multipart(original: Callable[..., Any], connection: Connection, query: dict[str, list[str]]) -> Any:
    """Read a request's body. A two-part body is split here as bytes, without decoding."""
    content_type = connection.headers.get("Content-Type", "")
    if not content_type.startswith("multipart/related"):
        return original(connection, query)
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    body = server._read_raw_data(connection)
    if found is None or not body:
        raise Refused(400, "invalid", "a multipart body needs a boundary and parts")
    boundary = b"--" + found[1].encode()
    start = body.index(boundary)
    middle = body.index(b"\r\n" + boundary, start + len(boundary))
    end = body.rindex(b"\r\n" + boundary + b"--")
    _, metadata = _split_part(body[start + len(boundary) + 2 : middle])
    media_headers, media = _split_part(body[middle + len(boundary) + 4 : end])
    return {
        "meta": json.loads(metadata),
        "content": media,
        "content-type": media_headers.get("content-type", "application/octet-stream"),
    }


def _split_part(part: bytes) -> tuple[dict[str, str], bytes]:
    head, _, content = part.partition(b"\r\n\r\n")
    pairs = (line.partition(":") for line in head.decode().splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}, content


def repair_emulator() -> None:
    """Replace what the emulator does differently from the real service."""
    lock = threading.RLock()
    server.HANDLERS = tuple(
        (pattern, {method: repaired(handler, lock) for method, handler in methods.items()})
        for pattern, methods in server.HANDLERS
    )
    server._read_data = partial(read_multipart, server._read_data)
    make_object, make_bucket = objects._make_object_resource, buckets._make_bucket_resource

    def new_object(*arguments: Any, **named: Any) -> dict[str, Any]:
        made: dict[str, Any] = make_object(*arguments, **named)
        made["metageneration"] = "1"  # the emulator counts the upload's metadata as a change
        if made["size"] is not None:
            made["size"] = str(made["size"])
        place, name, generation = made["bucket"], quote(made["name"], safe=""), made["generation"]
        made["mediaLink"] = f"http://host/download/storage/v1/b/{place}/o/{name}?generation={generation}&alt=media"
        return made

    def new_bucket(*arguments: Any, **named: Any) -> dict[str, Any]:
        made: dict[str, Any] = make_bucket(*arguments, **named)
        # Otherwise deleted objects would stay in memory for a week.
        made["softDeletePolicy"]["retentionDurationSeconds"] = "0"
        return made

    objects._make_object_resource, buckets._make_bucket_resource = new_object, new_bucket


def main() -> None:
    """Serve until the parent process ends."""
    options = parent_watchdog.arguments().parse_args()
    if options.temporary:
        parent_watchdog.exit_with_parent(options.temporary)
    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    logging.getLogger("api").setLevel(logging.CRITICAL)
    repair_emulator()
    storage = RepairedStorage(options.folder)
    with StorageHTTPServer((options.host, options.port), partial(Connection, storage)) as listening:
        parent_watchdog.announce(listening.server_port)
        listening.serve_forever()


if __name__ == "__main__":
    main()
