"""Reading bodies: what is too large is refused before it is kept, whatever its length header or its gzip says."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
from django.http import HttpRequest

from feedback import limits
from projects import strictjson
from projects.errors import ApiError
from projects.strictjson import Parsed

CHUNK = 64 * limits.KIB
JSON = "application/json"
LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
GZIP = 16 + zlib.MAX_WBITS


class _Items(msgspec.Struct):
    interactions: list[msgspec.Raw] | None = None
    feedback: list[msgspec.Raw] | None = None
    scores: list[msgspec.Raw] | None = None


def one(request: HttpRequest, limit: int, media_type: str = JSON) -> Parsed:
    """The value of a JSON body of at most ``limit`` bytes. Raises ApiError 400, 413 or 415."""
    _media_type(request, {media_type})
    return strictjson.parse(read(request, limit))


def many(request: HttpRequest, name: str) -> list[Parsed | ApiError]:
    """The items of a batch: a JSON array, ``{name: […]}``, or one JSON value a line. A faulty item stands alone."""
    media_type = _media_type(request, {JSON, *LINES})
    body = read(request, limits.BATCH_BODY)
    raw = _lines(body) if media_type in LINES else _elements(body, name)
    items: list[Parsed | ApiError] = []
    for text in raw:
        if len(items) == limits.BATCH_ITEMS:
            raise ApiError(413, "too_large", f"A batch has at most {limits.BATCH_ITEMS:,} items. Send it in parts.")
        try:
            items.append(strictjson.parse(bytes(text)))
        except ApiError as error:
            # The frames in which it was raised hold all that was read of the item.
            error.__context__ = error.__traceback__ = None
            items.append(error)
    return items


def read(request: HttpRequest, limit: int) -> bytes:
    """The body, inflated if it is gzip, of at most ``limit`` bytes either way."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip"}:
        raise ApiError(415, "unsupported_media_type", "Content-Encoding may be gzip or absent.")
    if int(request.META.get("CONTENT_LENGTH") or 0) > limit:
        raise _too_large(limit)
    pieces, size = [], 0
    for piece in _inflated(request, limit) if encoding.endswith("gzip") else _chunks(request, limit):
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
    return b"".join(pieces)


def _chunks(request: HttpRequest, limit: int) -> Iterator[bytes]:
    take, left = _reader(request), limit + 1
    while left > 0 and (piece := take(min(CHUNK, left))):
        left -= len(piece)
        yield piece


def _reader(request: HttpRequest) -> Callable[[int], bytes]:
    """Django takes a body without a length, one that comes in chunks, for empty. The server knows where it ends."""
    environ: dict[str, Any] = getattr(request, "environ", {})
    if not environ.get("CONTENT_LENGTH") and environ.get("wsgi.input_terminated"):
        return cast(Callable[[int], bytes], environ["wsgi.input"].read)
    return request.read


def _inflated(request: HttpRequest, limit: int) -> Iterator[bytes]:
    inflate = zlib.decompressobj(GZIP)
    begun = False
    try:
        for piece in _chunks(request, limit):
            while piece:
                begun = True
                yield inflate.decompress(piece, CHUNK)
                piece = inflate.unconsumed_tail
                if inflate.eof:  # gzip files may be glued together
                    piece, inflate, begun = inflate.unused_data, zlib.decompressobj(GZIP), False
        while begun and (rest := inflate.decompress(b"", CHUNK)):
            yield rest
    except zlib.error:
        raise ApiError(400, "malformed_gzip", "The body is not gzip, although Content-Encoding says so.") from None
    if begun and not inflate.eof:
        raise ApiError(400, "malformed_gzip", "The gzip body ends in the middle.")


def _media_type(request: HttpRequest, accepted: set[str]) -> str:
    media_type = (request.content_type or "").lower()
    if media_type.endswith("+json"):
        media_type = JSON
    if media_type not in accepted:
        raise ApiError(415, "unsupported_media_type", f"Content-Type may be {' or '.join(sorted(accepted))}.")
    charset = (request.content_params or {}).get("charset", "utf-8").lower()
    if charset not in {"utf-8", "utf8", "us-ascii"}:
        raise ApiError(415, "unsupported_media_type", "The charset may only be UTF-8.")
    return media_type


def _elements(body: bytes, name: str) -> list[msgspec.Raw]:
    """The items without looking into them: limits on keys and depth are then those of one item."""
    try:
        items = _take_apart(body, name)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        try:
            items = _take_apart(_SURROGATES.sub(_as_nul, body), name)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise ApiError(400, "malformed_json", f"The body is not acceptable JSON: {error}.") from None
    if items is None:
        message = f'Send a list, or {{"{name}": [...]}}.'
        raise ApiError(422, "invalid", message, [{"path": f"/{name}", "message": message}])
    return items


def _take_apart(body: bytes, name: str) -> list[msgspec.Raw] | None:
    if body.lstrip()[:1] == b"[":
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    items: list[msgspec.Raw] | None = getattr(msgspec.json.decode(body, type=_Items), name)
    return items


# msgspec refuses lone surrogates even where it does not look, and one cut emoji must not lose a batch. They
# become NUL, which passes here and which the strict parser replaces and reports like the surrogate itself.
_SURROGATES = re.compile(
    rb"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})(?P<pair>\\u[dD][c-fC-F][0-9a-fA-F]{2})?"
    rb"|u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def _as_nul(escape: re.Match[bytes]) -> bytes:
    lone = escape["low"] or (escape["high"] and not escape["pair"])
    return rb"\u0000" if lone else escape[0]


_LINE = re.compile(rb"\S[^\n]*")


def _lines(body: bytes) -> Iterator[bytes]:
    """The lines that are not blank. Millions of blank ones are skipped without a step of Python for each."""
    return (line[0].rstrip() for line in _LINE.finditer(body))


def _too_large(limit: int) -> ApiError:
    return ApiError(413, "too_large", f"The body may have at most {limit:,} bytes, also after decompression.")
