"""The one way out: every request to an address that a user has typed goes through ``exchange``.

https to global addresses only. A host that the operator lists in REVIEWHUB_OUTBOUND_ALLOW (``host`` or
``host:port``) may also be private, speak http and use other ports. The name is resolved once, every address
it has is checked, and the connection goes to a checked address: a resolver that changes its mind between
check and use (rebinding) gains nothing. No redirects, no proxies from the environment, a deadline on the
wall clock that a server sending one byte a second cannot stretch, a limit to the size of the answer, and errors
that are fixed sentences: what the other side said never reaches a page or a log.

Written on ``http.client`` because httpx offers no hook between resolving and connecting that is public, and
because its time-outs are per read.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import certifi
from django.conf import settings

MAX_BYTES = 1024 * 1024
CONNECT_SECONDS = 10.0
_MAX_URL = 2000
# Status line and headers come on top of the body.
_HEAD_BYTES = 64 * 1024

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutboundRefused(Exception):
    """The address is not one that Review Hub may reach. The text is a fixed sentence for the person who typed it."""


class OutboundFailed(Exception):
    """The address may be reached, but no usable answer came. The text is a fixed sentence."""


class OutboundUnreached(OutboundFailed):
    """No connection was made: the other side has not seen the request."""


class OutboundTimeout(OutboundFailed):
    """No complete answer before the deadline."""


class OutboundTooLarge(OutboundFailed):
    """More came back than the caller takes: MAX_BYTES, where it does not say otherwise."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` have lower-case names; of repeated ones the last counts."""

    status: int
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed and permitted URL. ``trusted`` means that the operator has listed the host."""

    scheme: str
    host: str
    port: int
    path: str
    trusted: bool

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


# Anything that two parsers might read differently (userinfo, backslashes, blanks, fragments, letters beyond
# ASCII, names in brackets) does not match and is refused.
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[!-~]*|\?[!-~]*)?)",
    re.IGNORECASE | re.ASCII,
)
_PATH_FORBIDDEN = re.compile(r'[\\#<>"^`{|}]')
_LOOKS_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.IGNORECASE | re.ASCII)

# Global in the eyes of ``ipaddress`` (of Python 3.11 the last), and yet doors to a private network: the metadata
# service of Azure, 6to4 relays, protocol assignments (the metadata service of Oracle).
_CLOSED = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.88.99.0/24", "192.0.0.0/24")))
# Inside 2000::/3: Teredo and its neighbours, documentation, 6to4. Outside of it nothing is unicast and global;
# NAT64 (64:ff9b::/96) and IPv4-mapped addresses lie outside.
_CLOSED_6 = tuple(map(ipaddress.ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_UNICAST_6 = ipaddress.ip_network("2000::/3")


def parse(url: str) -> Target:
    """The target of a URL, or OutboundRefused. Does not touch the network: fit for checking a form."""
    match = _URL.fullmatch(url) if len(url) <= _MAX_URL else None
    if match is None or _PATH_FORBIDDEN.search(match["path"]):
        raise OutboundRefused(
            "This is not an address that can be used. Write https://host/path, without user name, fragment or blanks; "
            "international names in their xn-- form."
        )
    scheme, host = match["scheme"].lower(), match["host"].lower().strip("[]")
    port = int(match["port"]) if match["port"] else 443 if scheme == "https" else 80
    if not 0 < port < 65536 or ".." in host:
        raise OutboundRefused("This is not an address that can be used: host or port is not valid.")
    if (":" in host or _LOOKS_NUMERIC.fullmatch(host)) and _literal(host) is None:
        raise OutboundRefused("Write an IP address in its usual form.")
    trusted = _listed(host, port)
    if not trusted:
        if scheme != "https":
            raise OutboundRefused("Only https:// is allowed for hosts that the operator has not listed.")
        if port != 443:
            raise OutboundRefused("Only port 443 is allowed for hosts that the operator has not listed.")
    target = Target(scheme, host, port, match["path"] or "/", trusted)
    if (literal := _literal(host)) is not None:
        _permit(target, literal)
    return target


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _listed(host: str, port: int) -> bool:
    """Whether REVIEWHUB_OUTBOUND_ALLOW names the host, alone or with this port; IPv6 as ``[::1]`` or ``[::1]:8080``."""
    shown = f"[{host}]" if ":" in host else host
    return any(entry.lower() in {host, shown, f"{shown}:{port}"} for entry in settings.OUTBOUND_ALLOW)


def _permit(target: Target, address: Address) -> None:
    """Refuses the address unless it is global, or the operator has listed the host.

    Even a listed *name* never leads to link-local addresses, where clouds keep their metadata: whoever
    controls its DNS would get them. A listed literal address is the operator's own word.
    """
    if target.trusted:
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if (address.is_link_local or address.is_multicast) and _literal(target.host) is None:
            raise OutboundRefused("The name leads to a link-local address. That is never allowed.")
        return
    if not is_global(address):
        raise OutboundRefused("The address is not public. Only the operator can allow it (REVIEWHUB_OUTBOUND_ALLOW).")


def is_global(address: Address) -> bool:
    """Whether this is a unicast address of the public internet and not a door to another network."""
    if isinstance(address, ipaddress.IPv6Address):
        return (
            address.scope_id is None
            and address in _UNICAST_6
            and address.is_global
            and not any(address in network for network in _CLOSED_6)
        )
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _CLOSED)
    )


def post(url: str, *, body: bytes, headers: dict[str, str], timeout: float = 15.0) -> Answer:
    """Sends ``body`` and returns whatever the receiver answered, be it 200 or 500.

    ``timeout`` is the whole time in seconds. Raises OutboundRefused and OutboundFailed.
    """
    return exchange("POST", url, headers=headers, body=body, timeout=timeout)


def exchange(
    method: str, url: str, *, headers: dict[str, str], body: bytes, timeout: float, max_bytes: int = MAX_BYTES
) -> Answer:  # fmt: skip
    """One request and its answer; see the module for what is refused. Never call it inside a transaction.

    ``max_bytes`` is how large the body of the answer may be.
    """
    deadline = time.monotonic() + timeout
    target = parse(url)
    addresses = resolve(target, deadline)
    connection = _Connection(target, addresses, deadline, max_bytes)
    try:
        return _exchange(connection, method, target, headers, body)
    except (OutboundRefused, OutboundFailed):
        raise
    except (TimeoutError, ssl.SSLWantReadError):
        raise OutboundTimeout("No complete answer came in time.") from None
    except ssl.SSLCertVerificationError:
        raise OutboundUnreached("The certificate of the host is not valid for its name.") from None
    except ssl.SSLError:
        raise OutboundUnreached("No secure connection could be made.") from None
    except ConnectionRefusedError:
        raise OutboundUnreached("The host refused the connection.") from None
    except (http.client.HTTPException, OSError, ValueError):
        raise OutboundFailed("The connection broke, or what came back was not HTTP.") from None
    finally:
        connection.hang_up()


def _exchange(
    connection: _Connection, method: str, target: Target, headers: dict[str, str], body: bytes
) -> Answer:  # fmt: skip
    connection.putrequest(method, target.path, skip_host=True, skip_accept_encoding=True)
    own = {"host": target.authority, "content-length": str(len(body)), "accept-encoding": "identity"}
    own["connection"] = "close"
    for name, value in {**{name.lower(): value for name, value in headers.items()}, **own}.items():
        if name != "transfer-encoding":
            connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    if 300 <= response.status < 400:
        raise OutboundFailed("The host answered with a redirect. Redirects are not followed.")
    answer = {name.lower(): value for name, value in response.getheaders()}
    # A compressed answer was not asked for; a bomb of a thousand to one would pass the cap.
    if answer.get("content-encoding", "identity").lower() != "identity":
        raise OutboundFailed("The host answered compressed although that was not asked for.")
    content = response.read(connection.max_bytes + 1)
    if len(content) > connection.max_bytes:
        raise OutboundTooLarge("The answer is too large.")
    if response.length:  # fewer bytes than announced
        raise OutboundFailed("The answer broke off.")
    return Answer(response.status, content, answer)


def resolve(target: Target, deadline: float) -> list[Address]:
    """The addresses of the host, all of them permitted; one that is not spoils the whole name."""
    literal = _literal(target.host)
    found = [literal] if literal is not None else _look_up(target, deadline)
    for address in found:
        _permit(target, address)
    return found


def _look_up(target: Target, deadline: float) -> list[Address]:
    # getaddrinfo knows no deadline; a resolver that hangs keeps this thread and not the worker.
    found: list[Any] = []
    failed: list[Exception] = []

    def look_up() -> None:
        try:
            found.extend(getaddrinfo(target.host, target.port))
        except (OSError, UnicodeError) as error:
            failed.append(error)

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(min(CONNECT_SECONDS, max(0.0, deadline - time.monotonic())))
    if thread.is_alive():
        raise OutboundTimeout("The name of the host could not be resolved in time.")
    addresses = list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
    if failed or not addresses:
        raise OutboundUnreached("The name of the host could not be resolved.")
    return addresses


def getaddrinfo(host: str, port: int) -> list[Any]:
    """The resolver, as a name of its own so that tests can play a hostile one."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


@lru_cache(maxsize=1)
def tls() -> ssl.SSLContext:
    """The system's certificates and certifi's: interpreters from archives often find no system store."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class _Connection(http.client.HTTPConnection):
    """Connects to addresses that were checked, speaks TLS with the name, and keeps one deadline throughout."""

    def __init__(self, target: Target, addresses: list[Address], deadline: float, max_bytes: int) -> None:
        super().__init__(target.host, target.port)
        self._target, self._addresses, self._deadline = target, addresses, deadline
        self.max_bytes = max_bytes
        self._line: socket.socket | None = None

    def connect(self) -> None:
        self._line = line = self._first_that_answers()
        if self._target.scheme == "https":
            line.settimeout(_left(self._deadline, CONNECT_SECONDS))
            self._line = line = tls().wrap_socket(line, server_hostname=self._target.host)
        self.sock: Any = _Wire(line, self._deadline, self.max_bytes + _HEAD_BYTES)

    def hang_up(self) -> None:
        if self._line is not None:
            self._line.close()

    def _first_that_answers(self) -> socket.socket:
        until = min(self._deadline, time.monotonic() + CONNECT_SECONDS)
        refused: OSError = ConnectionRefusedError()
        for address in self._addresses:
            try:
                return socket.create_connection((str(address), self._target.port), timeout=_left(until))
            except TimeoutError:
                raise
            except OSError as error:
                refused = error
        raise refused


def _left(deadline: float, at_most: float = float("inf")) -> float:
    seconds = min(deadline - time.monotonic(), at_most)
    if seconds <= 0:
        raise TimeoutError
    return seconds


class _Wire:
    """What ``http.client`` needs of a socket, with the deadline set anew before each read."""

    def __init__(self, sock: socket.socket, deadline: float, max_bytes: int) -> None:
        self._sock, self._deadline, self._max_bytes = sock, deadline, max_bytes

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._deadline, self._max_bytes))

    def close(self) -> None:
        """Nothing: http.client closes as soon as it has read the headers, ``hang_up`` when all is read."""


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float, max_bytes: int) -> None:
        self._sock, self._deadline, self._max_bytes, self._read = sock, deadline, max_bytes, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        count = self._sock.recv_into(buffer)
        self._read += count
        if self._read > self._max_bytes:
            raise OutboundTooLarge("The answer is too large.")
        return count
