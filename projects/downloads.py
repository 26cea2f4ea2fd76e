"""Files of any size as answers, without taking the web server's threads for as long as somebody reads.

The server sends an answer that is complete without a thread of ours, but holds one for as long as a streamed answer
is read, and few threads are faster than many. So what fits into WHOLE is made first and sent whole; of what is larger a
process streams one file at a time, and says so to whoever asks for a second.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from projects.errors import ApiError

WHOLE = 8 * 1024 * 1024  # bytes
RETRY_SECONDS = 5
_one_at_a_time = threading.BoundedSemaphore(1)


class _Stream:
    """What has been made and what is left, and the place that it holds; given back once, also by who never reads."""

    def __init__(self, begun: bytes, rest: Iterator[bytes]) -> None:
        self._begun, self._rest, self._open = begun, rest, True

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield self._begun
            yield from self._rest
        finally:
            self.close()

    def close(self) -> None:
        if self._open:
            self._open = False
            _one_at_a_time.release()

    __del__ = close


def download(pieces: Iterator[bytes], content_type: str, headers: dict[str, str]) -> HttpResponseBase:
    """The answer that carries these pieces. Raises ApiError 503 while another large file leaves this process."""
    begun = bytearray()
    for piece in pieces:
        begun += piece
        if len(begun) > WHOLE:
            break
    else:
        return HttpResponse(bytes(begun), content_type=content_type, headers=headers)
    if not _one_at_a_time.acquire(blocking=False):
        message = f"Another large file is being downloaded. Try again in {RETRY_SECONDS} seconds."
        raise ApiError(503, "busy", message, headers={"Retry-After": str(RETRY_SECONDS)})
    return StreamingHttpResponse(_Stream(bytes(begun), pieces), content_type=content_type, headers=headers)
