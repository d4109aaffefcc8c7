"""Why a call did not reach its host, in one line for the person who has to look: never the library's text, which holds
the URL with its query string.
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
    """What went wrong on the way to ``place`` (``host`` and port), and what to check if that does not pass."""
    what, check = _diagnosis(error, host, place)
    return f"{what} If that does not pass: check {check}."


def _diagnosis(error: requests.RequestException, host: str, place: str) -> tuple[str, str]:
    causes = list(_causes(error))

    def found(*kinds: type[BaseException]) -> BaseException | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    if found(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError):
        return f"This machine's proxy gives no way to {place}.", "the variables HTTPS_PROXY and NO_PROXY, and the proxy"
    if found(ssl.SSLCertVerificationError):
        return (
            f"The certificate of {place} is not trusted.",
            "the connection's host, this machine's clock, and REQUESTS_CA_BUNDLE for a certificate of your own",
        )
    if found(ssl.SSLError, urllib3.exceptions.SSLError, requests.exceptions.SSLError):
        return (
            f"{place} does not answer in TLS, as https:// demands.",
            "the connection's host, with its scheme, and port",
        )
    if found(socket.gaierror, urllib3.exceptions.NameResolutionError):
        return (
            f"The host {host} of {place} is not known to this machine.",
            "the connection's host, and this machine's DNS",
        )
    if found(ConnectionRefusedError):
        return f"Nothing listens at {place}.", "the connection's host and port, and whether the server runs"
    if any(isinstance(cause, OSError) and cause.errno in _NO_ROUTE for cause in causes):
        return f"There is no route to {place}.", "the connection's host, and this machine's network and proxy"
    # After the others, which urllib3 takes for kinds of this one.
    if found(urllib3.exceptions.ConnectTimeoutError, requests.exceptions.ConnectTimeout):
        return f"{place} accepts no connection in time.", "the connection's host and port, and firewall and proxy"
    return (
        f"{place} ended the connection before it answered.",
        "the connection's host and port, and this machine's network and proxy",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it is made of: libraries hide the cause in ``args``, ``reason`` or the chain."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
        waiting += [cause for cause in inner if isinstance(cause, BaseException)]
