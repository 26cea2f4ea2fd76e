"""Downloads: small ones are sent whole, large ones leave a process one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse

from projects import downloads
from projects.errors import ApiError

pytestmark = pytest.mark.django_db  # closing an answer looks at the connections


@pytest.fixture(autouse=True)
def ten_bytes_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "WHOLE", 10)


def pieces(count: int) -> Iterator[bytes]:
    return (b"%03d," % number for number in range(count))


def download(count: int) -> Any:
    return downloads.download(pieces(count), "text/plain", {"Content-Disposition": "attachment"})


def read(response: StreamingHttpResponse) -> bytes:
    return b"".join(iter(response))


def test_what_is_small_is_sent_whole() -> None:
    response = download(2)
    assert isinstance(response, HttpResponse)
    assert response.content == b"000,001,"
    assert response["Content-Disposition"] == "attachment"


def test_what_is_large_is_streamed_with_nothing_lost_or_doubled() -> None:
    response = download(50)
    assert response.streaming
    assert read(response) == b"".join(pieces(50))
    assert read(download(50)) == b"".join(pieces(50))  # its place was given back


def test_a_second_large_one_is_told_to_come_again_and_a_small_one_is_served() -> None:
    first = download(50)
    with pytest.raises(ApiError) as refused:
        download(50)
    assert (refused.value.status_code, refused.value.error_code) == (503, "busy")
    assert refused.value.headers == {"Retry-After": "5"}
    assert download(2).content == b"000,001,"
    assert read(first) == b"".join(pieces(50))


@pytest.mark.parametrize("read_first", [False, True], ids=["never read", "read in part"])
def test_who_goes_away_gives_the_place_back(read_first: bool) -> None:
    response = download(50)
    if read_first:
        next(iter(response))
    response.close()
    response.close()
    assert read(download(50)) == b"".join(pieces(50))


def test_an_answer_that_nobody_closes_gives_the_place_back() -> None:
    response = download(50)
    del response
    assert read(download(50)) == b"".join(pieces(50))
