"""Diagnosis of a call that did not reach its host, in one line. The library's text is not used, because it contains the
URL with its query string.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

import requests
import urllib3

_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)


def unreachable(error: requests.RequestException, host: str, place: str) -> str:
    """Return what went wrong on the way to ``place`` (host and port), and what to check if it persists."""
    what, check = _diagnosis(error, host, place)
    return f"{what} If this persists: check {check}."


def _diagnosis(error: requests.RequestException, host: str, place: str) -> tuple[str, str]:
    causes = list(_causes(error))

    def found(*kinds: type[BaseException]) -> BaseException | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    if found(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError):
        return (
            f"This machine's proxy cannot connect to {place}.",
            "the variables HTTPS_PROXY and NO_PROXY, and the proxy",
        )
    if found(ssl.SSLCertVerificationError):
        return (
            f"The certificate of {place} is not trusted.",
            "the connection's host, this machine's clock, and REQUESTS_CA_BUNDLE if you use your own certificate",
        )
    if found(ssl.SSLError, urllib3.exceptions.SSLError, requests.exceptions.SSLError):
        return (
            f"{place} does not support TLS, which https:// requires.",
            "the connection's host, with its scheme, and port",
        )
    if found(socket.gaierror, urllib3.exceptions.NameResolutionError):
        return (
            f"This machine cannot resolve the host {host} of {place}.",
            "the connection's host, and this machine's DNS",
        )
    if found(ConnectionRefusedError):
        return f"Nothing listens at {place}.", "the connection's host and port, and whether the server is running"
    if any(isinstance(cause, OSError) and cause.errno in _NO_ROUTE for cause in causes):
        return f"There is no route to {place}.", "the connection's host, and this machine's network and proxy"
    # Checked last, because urllib3 uses this class for some of the others.
    if found(urllib3.exceptions.ConnectTimeoutError, requests.exceptions.ConnectTimeout):
        return (
            f"{place} did not accept a connection in time.",
            "the connection's host and port, the firewall and the proxy",
        )
    return (
        f"{place} closed the connection before it responded.",
        "the connection's host and port, and this machine's network and proxy",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, which libraries hide in ``args``, ``reason`` or the exception chain."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
        waiting += [cause for cause in inner if isinstance(cause, BaseException)]
