from __future__ import annotations

import time

import pytest

from projects import strictjson
from projects.errors import ApiError


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[" * 1000 + b"]" * 1000, "nested deeper than 32"),
        (b'{"a":' * 5000, "nested deeper than 32"),
        (b'{"a": 1, "a": 2}', "appears twice"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"1e400", "too large"),
        (b"9" * 5000, "64 bits"),
        (b"[9223372036854775808]", "64 bits"),
        (b'"\xff"', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"\\u0000": 1}', "a key has a NUL"),
        (b'{"\\ud800": 1}', "a key has a NUL"),
        (b'{"' + b"k" * 201 + b'": 1}', "longer than 200"),
        (b"{" + b",".join(b'"k%d":1' % n for n in range(20_001)) + b"}", "more than 20,000 keys"),
        (b"'single'", "Expecting value"),
        (b"{} trailing", "Extra data"),
        (b'"\x00"', "Invalid control character"),
    ],
)
def test_what_is_not_acceptable_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    started = time.process_time()
    with pytest.raises(ApiError) as caught:
        strictjson.parse(body)
    assert caught.value.status_code == 400
    assert reason in caught.value.message
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("body", "value", "sanitized"),
    [
        (b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}, False),
        (b'"a\\u0000b"', "a\ufffdb", True),
        (b'["\\ud800", {"x": "\\udfff!"}]', ["\ufffd", {"x": "\ufffd!"}], True),
        (b'"\\ud83d\\ude00"', "\U0001f600", False),
        (b"9223372036854775807", 9223372036854775807, False),
        (b"[" * 32 + b"]" * 32, None, False),
        (b'"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["', "[" * 36, False),
        (b'"a\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["', 'a"' + "[" * 35, False),
    ],
)
def test_what_is_acceptable_is_read_as_it_stands(body: bytes, value: object, sanitized: bool) -> None:
    parsed = strictjson.parse(body)
    assert parsed.sanitized is sanitized
    if value is not None:
        assert parsed.value == value
