"""An unreachable server is reported in one line: host, port and what to check; no URL, no library class."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.graph.errors import TransientError
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.graph.session import graph_session
from tests.integration.graph.raw_server import RawServer

SECRETS = ("s3cret-token", "s3cret-app", "appsecret_proof", "asked-t0ken", "input_token", "proxy-pa55word")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def line_of(url: str) -> str:
    """The error message of one call to this host, without retries."""
    client = GraphClient(
        graph_session(), Credentials("s3cret-token", "s3cret-app"), base_url=url, pacer=Pacer(1e6), attempts=1
    )
    with pytest.raises(TransientError) as caught:
        client.get("debug_token", {"input_token": "asked-t0ken"})
    line = str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert [secret for secret in SECRETS if secret in line] == []
    assert len(line.splitlines()) == 1
    # No class name of a library.
    assert None is re.search(r"[a-z]Error|Exception|urllib3|requests|HTTPS?Connection", line)
    return line


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subject = ["-subj", "/CN=graph.example.com", "-days", "1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(path), "-out", "-", *subject]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    path.write_bytes(path.read_bytes() + made)
    return path


@pytest.fixture
def untrusted(certificate: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            while True:
                connection, _ = listener.accept()
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def test_a_closed_port(free_port: int) -> None:
    assert line_of(f"http://127.0.0.1:{free_port}") == (
        f"Nothing listens at 127.0.0.1:{free_port}. If this persists: check the connection's host and port, and "
        "whether the server is running."
    )


def test_an_unknown_host() -> None:
    assert line_of("https://graph.example.invalid").startswith(
        "This machine cannot resolve the host graph.example.invalid of graph.example.invalid:443. If this persists: "
        "check the connection's host"
    )


def test_a_server_without_tls() -> None:
    def respond_in_plain_text(connection: socket.socket, _: object) -> None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        respond_in_plain_text(connection, None)
        connection.close()

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    with listener:
        assert line_of(f"https://127.0.0.1:{port}").startswith(f"127.0.0.1:{port} does not support TLS")


def test_an_untrusted_certificate(untrusted: str) -> None:
    place = untrusted.removeprefix("https://")
    assert line_of(untrusted).startswith(f"The certificate of {place} is not trusted. If this persists: check the")


def test_a_connection_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_metaconv.graph.client.TIMEOUT_SECONDS", (0.2, 75.0))
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        # The listen queue of a server that accepts nothing: once it is full, a connection gets no response.
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        line = line_of(f"http://127.0.0.1:{port}")
        for each in waiting:
            each.close()
    assert line.startswith(f"127.0.0.1:{port} did not accept a connection in time.")


def test_a_response_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_metaconv.graph.client.TIMEOUT_SECONDS", (10.0, 0.2))
    with RawServer(lambda _, over: over.wait(5)) as server:
        place = server.url.removeprefix("http://")
        assert line_of(server.url).startswith(f"No response from {place} within")


def test_a_connection_closed_without_a_response() -> None:
    with RawServer(lambda connection, _: connection.shutdown(socket.SHUT_RDWR)) as server:
        place = server.url.removeprefix("http://")
        assert line_of(server.url).startswith(f"{place} closed the connection before it responded. If this")


def test_an_unreachable_proxy(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:proxy-pa55word@127.0.0.1:{free_port}")
    line = line_of("https://graph.example.com")
    assert line.startswith("This machine's proxy cannot connect to graph.example.com:443. If this persists: check")
