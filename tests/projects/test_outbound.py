"""The one way out: hostile addresses, hostile resolvers, hostile answers."""

from __future__ import annotations

import datetime
import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from projects import outbound
from projects.outbound import OutboundFailed, OutboundRefused, OutboundTimeout
from tests.fakes.receiver import FakeReceiver
from tests.fakes.server import Answer, Fake, Request

HOSTILE = [
    "http://example.com/hook",  # not https
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "javascript:alert(1)",
    "//example.com/",
    "https:/example.com",
    "https://",
    "https:///path",
    "https://user:secret@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1#@example.com/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com\\.evil.example/",
    "https://exam ple.com/",
    "https://example.com/\r\nX-Injected: 1",
    "https://example.com/\tx",
    "https://example.com\x00.evil.example/",
    "https://example。com/",  # ideographic full stop
    "https://ⓛocalhost/",
    "https://localhost./",
    "https://example..com/",
    "https://example.com:8443/",
    "https://example.com:99999/",
    "https://example.com:0/",
    "https://example.com:/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.8/",
    "https://172.16.5.5/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",  # carrier-grade NAT, and a cloud's metadata
    "https://169.254.169.254/latest/meta-data/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    "https://192.88.99.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:1::1]/",
    "https://[2001:db8::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[example.com]/",
    "https://" + "a" * 3000 + ".example/",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_addresses_are_refused_before_any_network(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "getaddrinfo", lambda *a: pytest.fail("the resolver was asked"))
    with pytest.raises(OutboundRefused):
        outbound.post(url, body=b"", headers={})


@pytest.mark.parametrize(
    "url", ["https://api.openai.com/v1", "https://8.8.8.8/", "https://[2606:4700::1111]/x?y=1", "https://EXAMPLE.com"]
)
def test_public_addresses_pass(url: str) -> None:
    assert outbound.parse(url).port == 443


def _resolver(*addresses: str) -> Any:
    return lambda host, port: [(0, 0, 0, "", (address, port)) for address in addresses]


PRIVATE = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fd00::1", "0.0.0.0"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_inside_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "getaddrinfo", _resolver(address))
    with pytest.raises(OutboundRefused):
        outbound.post("https://hook.example.com/", body=b"", headers={})


def test_one_private_address_among_public_ones_spoils_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "getaddrinfo", _resolver("93.184.215.14", "127.0.0.1"))
    with pytest.raises(OutboundRefused):
        outbound.post("https://hook.example.com/", body=b"", headers={})


def test_a_rebinding_resolver_is_asked_once_and_the_checked_address_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    monkeypatch.setattr(outbound, "getaddrinfo", lambda host, port: _resolver(*next(answers))(host, port))
    connected: list[str] = []

    def connect(address: tuple[str, int], timeout: float) -> Any:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(outbound.socket, "create_connection", connect)
    with pytest.raises(OutboundFailed):
        outbound.post("https://hook.example.com/", body=b"", headers={})
    assert connected == ["93.184.215.14"]


def test_a_listed_host_may_be_private_and_speak_http(receiver: FakeReceiver) -> None:
    answer = outbound.post(f"{receiver.url}/hook?a=1", body=b"{}", headers={"X-Id": "7"})
    assert answer.status == 204
    (request,) = receiver.requests
    assert (request.path, request.body, request.headers["x-id"]) == ("/hook?a=1", b"{}", "7")
    assert request.headers["host"] == receiver.url.removeprefix("http://")
    assert request.headers["accept-encoding"] == "identity"


def test_an_entry_with_a_port_lists_that_port_only(settings: Any) -> None:
    settings.OUTBOUND_ALLOW = ["10.0.0.8:11434", "[::1]:9", "ollama"]
    assert outbound.parse("http://10.0.0.8:11434/v1").trusted
    assert outbound.parse("http://[::1]:9/").trusted
    assert outbound.parse("http://OLLAMA:11434/").trusted
    for other in ("http://10.0.0.8:11435/v1", "http://[::1]:10/", "http://ollama.example.com/"):
        with pytest.raises(OutboundRefused):
            outbound.parse(other)


def test_a_listed_name_never_leads_to_the_metadata_service(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OUTBOUND_ALLOW = ["models.internal"]
    for address in ("169.254.169.254", "::ffff:169.254.169.254", "fe80::1"):
        monkeypatch.setattr(outbound, "getaddrinfo", _resolver(address))
        with pytest.raises(OutboundRefused):
            outbound.post("http://models.internal/", body=b"", headers={})


def test_redirects_are_not_followed(receiver: FakeReceiver) -> None:
    for status in (301, 302, 303, 307, 308):
        receiver.script(Answer(status, b"", {"Location": "http://169.254.169.254/latest/meta-data/"}))
        with pytest.raises(OutboundFailed, match="redirect"):
            outbound.post(receiver.url, body=b"", headers={})
    assert len(receiver.requests) == 5


def test_proxies_of_the_environment_are_ignored(receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert outbound.post(receiver.url, body=b"", headers={}).status == 204


def test_the_deadline_is_the_wall_clock_even_against_a_drip(receiver: FakeReceiver) -> None:
    receiver.script(Answer(200, b"x" * 1000, drip=0.05))
    started = time.monotonic()
    with pytest.raises(OutboundTimeout):
        outbound.post(receiver.url, body=b"", headers={}, timeout=0.4)
    assert 0.3 < time.monotonic() - started < 1.5


def test_a_server_that_says_nothing_ends_at_the_deadline(receiver: FakeReceiver) -> None:
    receiver.script(Answer(200, delay=30))
    with pytest.raises(OutboundTimeout):
        outbound.post(receiver.url, body=b"", headers={}, timeout=0.2)


def test_a_resolver_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    wake = threading.Event()
    monkeypatch.setattr(outbound, "getaddrinfo", lambda host, port: wake.wait(30) and [])
    with pytest.raises(OutboundTimeout):
        outbound.post("https://hook.example.com/", body=b"", headers={}, timeout=0.2)
    wake.set()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, b"x" * (outbound.MAX_BYTES + 1)), "too large"),
        (Answer(200, b"x", {"Content-Length": "100", "Connection": "close"}), "broke off"),
        (Answer(200, b"x", {"Content-Encoding": "gzip"}), "compressed"),
        (Answer(hang_up=True), "broke"),
        (Answer(200, b"x", {f"X-{n}": "y" for n in range(200)}), "HTTP"),
    ],
    ids=["large", "short", "gzip", "hang-up", "headers"],
)
def test_bad_answers_fail_with_fixed_sentences(receiver: FakeReceiver, answer: Answer, words: str) -> None:
    receiver.script(answer)
    with pytest.raises(OutboundFailed, match=words):
        outbound.post(receiver.url, body=b"", headers={})


def test_the_largest_permitted_answer_arrives_whole(receiver: FakeReceiver) -> None:
    receiver.script(Answer(500, b"x" * outbound.MAX_BYTES))
    answer = outbound.post(receiver.url, body=b"", headers={})
    assert (answer.status, len(answer.body)) == (500, outbound.MAX_BYTES)


def test_header_injection_is_refused(receiver: FakeReceiver) -> None:
    with pytest.raises(OutboundFailed):
        outbound.post(receiver.url, body=b"", headers={"X-A": "1\r\nX-B: 2"})
    assert receiver.requests == []


def test_nothing_listens(settings: Any) -> None:
    with FakeReceiver() as gone:
        url = gone.url
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    with pytest.raises(OutboundFailed, match="refused"):
        outbound.post(url, body=b"", headers={})


class _Secure(Fake):
    """The fake server with TLS; ``asked`` are the names that clients sent (SNI)."""

    def __init__(self, certificate: Path) -> None:
        super().__init__()
        self.asked: list[str | None] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda sock, name, context: self.asked.append(name)
        server: http.server.ThreadingHTTPServer = self._server
        server.socket = context.wrap_socket(server.socket, server_side=True)

    def respond(self, request: Request) -> Answer:
        return Answer(200, b"ok")


@pytest.fixture
def secure(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[_Secure, str]]:
    """A server with a certificate for judge.example.com that outbound trusts, and its port."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("judge.example.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "both.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(cafile=str(path))
    monkeypatch.setattr(outbound, "tls", lambda: context)
    monkeypatch.setattr(outbound, "getaddrinfo", _resolver("127.0.0.1"))
    settings.OUTBOUND_ALLOW = ["judge.example.com", "other.example.com"]
    with _Secure(path) as server:
        yield server, server.url.rsplit(":", 1)[1]


def test_tls_goes_to_the_checked_address_with_the_name(secure: tuple[_Secure, str]) -> None:
    server, port = secure
    assert outbound.post(f"https://judge.example.com:{port}/", body=b"", headers={}).body == b"ok"
    assert server.asked == ["judge.example.com"]
    assert server.requests[0].headers["host"] == f"judge.example.com:{port}"


def test_a_certificate_for_another_name_is_refused(secure: tuple[_Secure, str]) -> None:
    _, port = secure
    with pytest.raises(OutboundFailed, match="certificate"):
        outbound.post(f"https://other.example.com:{port}/", body=b"", headers={})


def test_the_default_certificates_load() -> None:
    assert outbound.tls().verify_mode is ssl.CERT_REQUIRED
    assert outbound.tls().cert_store_stats()["x509_ca"] > 50
