"""Whose request this is: the network address of the visitor, also behind proxies that the operator trusts.

Anybody can write ``X-Forwarded-For``. So it is read only where the connection comes from a trusted proxy
(``REVIEWHUB_TRUSTED_PROXIES``), from the right, where each trusted proxy has added the address it saw; the first
that is no trusted proxy is the visitor. What does not parse ends the search: the last address that was certain
counts. Addresses are for counting only and are never stored, see ``ratelimit.hidden``.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address
MOST_HOPS = 20
SUBSCRIBER = 64  # bits of an IPv6 address that a provider gives to one household


def visitor(request: HttpRequest) -> str:
    """The visitor's address as a name to count by: IPv4 whole, IPv6 by the network of its household."""
    address = _read(request.META.get("REMOTE_ADDR", ""))
    if address is None:  # a unix socket
        return "local"
    hops = request.headers.get("X-Forwarded-For", "").rsplit(",", MOST_HOPS)[-MOST_HOPS:]
    while hops and _trusted(address):
        nearer = _read(hops.pop().strip())
        if nearer is None:
            break
        address = nearer
    return str(IPv6Network((address, SUBSCRIBER), strict=False)) if address.version == 6 else str(address)


def _read(text: str) -> Address | None:
    """An address without port or zone; None for anything else. IPv4 within IPv6 is IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id:
            return None
        return address.ipv4_mapped or address
    return address


def _trusted(address: Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES if network.version == address.version)
