"""Whose request it is: the forwarded address counts where a trusted proxy has written it, and nowhere else."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django.test.utils import override_settings

from projects import addresses, ratelimit
from projects.models import RateCounter
from reviewhub import checks, env


def visitor(peer: str, forwarded: str = "", trusted: str = "10.0.0.0/8 2001:db8::/32") -> str:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)
    with override_settings(TRUSTED_PROXIES=[ip_network(word) for word in trusted.split()]):
        return addresses.visitor(request)


@pytest.mark.parametrize(
    ("peer", "forwarded", "counts"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1:4711", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1,", "10.0.0.1"),
        ("10.0.0.1", "010.1.1.1", "10.0.0.1"),
        ("10.0.0.1", "," * 5_000, "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("2001:db8::1", "2606:4700:1:2:3:4:5:6", "2606:4700:1:2::/64"),
        ("2606:4700:1:2::1", "", "2606:4700:1:2::/64"),
        ("fe80::1%eth0", "198.51.100.1", "local"),
        ("", "198.51.100.1", "local"),
    ],
)
def test_only_what_a_trusted_proxy_has_added_counts(peer: str, forwarded: str, counts: str) -> None:
    assert visitor(peer, forwarded) == counts


def test_without_the_setting_the_header_is_not_read() -> None:
    assert visitor("127.0.0.1", "198.51.100.1", trusted="") == "127.0.0.1"


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "proxy.example", "10.0.0.0/33", "*"])
def test_a_setting_that_cannot_be_understood_stops_the_program(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWHUB_TRUSTED_PROXIES", f"::1, {wrong}")
    with pytest.raises(ImproperlyConfigured, match="REVIEWHUB_TRUSTED_PROXIES"):
        env.networks("REVIEWHUB_TRUSTED_PROXIES")


def test_addresses_and_networks_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWHUB_TRUSTED_PROXIES", "::1, 10.0.0.0/8,192.0.2.7")
    assert [str(one) for one in env.networks("REVIEWHUB_TRUSTED_PROXIES")] == ["::1/128", "10.0.0.0/8", "192.0.2.7/32"]


@pytest.mark.parametrize(
    ("url", "proxies", "found"),
    [("https://hub.example", [], ["reviewhub.W001"]), ("https://hub.example", ["::1"], []), ("http://hub", [], [])],
)
def test_an_operator_who_forgot_the_proxy_is_told(url: str, proxies: list[str], found: list[str]) -> None:
    with override_settings(PUBLIC_URL=url, TRUSTED_PROXIES=proxies):
        assert [message.id for message in checks.proxies_are_named(None)] == found


@pytest.mark.django_db
def test_several_counters_are_counted_at_once_and_the_tightest_decides() -> None:
    seen = [ratelimit.hit_all({"wide": 9, "tight": 2}, seconds=86_400) for _ in range(3)]
    assert [(one.allowed, one.left) for one in seen] == [(True, 1), (True, 0), (False, 0)]
    assert set(RateCounter.objects.values_list("key", "count")) == {("wide", 3), ("tight", 3)}
