"""Masking of personal data at intake: found by pattern, confirmed by checksum where there is one.

Runs in the process, before the first write. What is found is replaced by ``[email]``, ``[card]`` and so on;
the number of replacements is kept, the matches are not. Patterns alone would mask order numbers as cards:
a card number must pass the Luhn check (ISO/IEC 7812-1 annex B), an IBAN its remainder modulo 97 (ISO 7064,
ISO 13616), a German tax id its check digit (ISO 7064 MOD 11,10), an IP address must parse.

Names are not found by patterns. ``names`` masks what follows a salutation or "my name is" and is off by
default: it misses most names and hits some that are none.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT = ("email", "card", "iban", "phone", "ip", "secret", "ssn", "tax_id")
FAILED = "[not stored: masking failed]"


@dataclass(frozen=True, slots=True)
class Pattern:
    name: str
    regex: re.Pattern[str]
    confirm: Callable[[str], bool] = lambda text: True
    group: int = 0
    """The group that is replaced; the rest of the match stays."""


def luhn(text: str) -> bool:
    """Whether the digits of a card number pass the Luhn check and are not all the same."""
    digits = [int(char) for char in text if char.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23,
    "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19,
    "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip


def iban(text: str) -> bool:
    """Whether this has the length of its country's IBAN and the remainder 1 modulo 97."""
    compact = re.sub(r"[ -]", "", text).upper()
    if IBAN_LENGTHS.get(compact[:2]) != len(compact):
        return False
    rearranged = compact[4:] + compact[:4]
    return int("".join(str(int(char, 36)) for char in rearranged)) % 97 == 1


def tax_id(text: str) -> bool:
    """Whether eleven digits are a German tax id: check digit by ISO 7064 MOD 11,10, one digit doubled or tripled."""
    digits = [int(char) for char in text if char.isdigit()]
    if len(digits) != 11 or digits[0] == 0 or max(Counter(digits[:10]).values()) not in {2, 3}:
        return False
    product = 10
    for digit in digits[:10]:
        total = (digit + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == digits[10]


def ssn(text: str) -> bool:
    """Whether a US social security number is in the ranges that are issued."""
    area, group, serial = text.split("-")
    return area not in {"000", "666"} and area < "900" and group != "00" and serial != "0000"


def phone(text: str) -> bool:
    """Whether this has the number of digits of a phone number (ITU-T E.164: at most 15) and is no date."""
    digits = re.sub(r"\D", "", text)
    return 8 <= len(digits) <= 15 and not re.fullmatch(r"\d{4}-\d{2}-\d{2}|\d{1,2}\.\d{1,2}\.\d{2,4}", text.strip())


def address(text: str) -> bool:
    """Whether this parses as an IP address of its own, not a version number such as 1.2.3.4 of a private kind."""
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


PATTERNS: dict[str, Pattern] = {
    pattern.name: pattern
    for pattern in (
        # Secrets first: their characters could look like anything else.
        Pattern(
            "secret",
            re.compile(
                r"\b(?:sk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,200}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,100}"
                r"|xox[abprs]-[A-Za-z0-9-]{10,100}|rh_(?:sk|pat)_[A-Za-z0-9_-]{40,80}"
                r"|eyJ[A-Za-z0-9_-]{10,500}\.eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,500})"
            ),
        ),
        Pattern("email", re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")),
        Pattern(
            "iban",
            re.compile(r"\b[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?\b"),
            iban,
        ),
        Pattern("card", re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d-])"), luhn),
        Pattern("ssn", re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"), ssn),
        Pattern(
            "ip",
            re.compile(
                r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){3,7})(?![\w.:]*\w)"
            ),
            address,
        ),
        Pattern("tax_id", re.compile(r"(?<!\d)\d{2}[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}(?!\d)"), tax_id),
        Pattern(
            "phone",
            re.compile(
                r"(?<![\w.,/-])(?<!\d )(?:\+\d{1,3}[ ./-]?(?:\(0\)[ ]?)?|\(?0\d{1,5}\)?[ ./-])"
                r"(?:\(?\d{1,5}\)?[ ./-]?){2,5}\d{2,6}(?![\w-])"
            ),
            phone,
        ),
        Pattern(
            "name",
            re.compile(
                r"\b(?:my name is|I am called|mein Name ist|ich heiße|(?:Mr|Mrs|Ms|Dr|Herr|Frau)\.?)\s+"
                r"((?:[A-ZÄÖÜ][\w'-]{1,30})(?:\s+[A-ZÄÖÜ][\w'-]{1,30}){0,2})"
            ),
            group=1,
        ),
    )
}  # fmt: skip


def mask(text: str, kinds: Sequence[str] = DEFAULT) -> tuple[str, Counter[str]]:
    """The text with what was found replaced by its kind in brackets, and how often each kind was found."""
    counts: Counter[str] = Counter()
    for name, pattern in PATTERNS.items():
        if name not in kinds:
            continue

        def replace(match: re.Match[str], pattern: Pattern = pattern) -> str:
            found = match.group(pattern.group)
            if not pattern.confirm(found):
                return match.group()
            counts[pattern.name] += 1
            return match.group().replace(found, f"[{pattern.name}]")

        text = pattern.regex.sub(replace, text)
    return text, counts


# What identifies, times or classifies; changed, it would no longer fit what it belongs to.
KEPT = frozenset(
    {
        "id", "parent_id", "interaction_id", "session_id", "user_id", "key", "created_at", "started_at", "ended_at",
        "kind", "role", "status", "tool_call_id", "model", "provider", "release", "variant", "environment",
        "feature", "language", "output_schema", "version",
    }
)  # fmt: skip


def mask_value(value: Any, kinds: Sequence[str] = DEFAULT, kept: frozenset[str] = KEPT) -> tuple[Any, Counter[str]]:
    """Masks every text in a JSON value except in the fields named in ``kept``, and counts what it masked.

    Fails closed: text that cannot be masked for whatever reason is replaced by FAILED and counted as ``failed``.
    """
    counts: Counter[str] = Counter()

    def walk(part: Any) -> Any:
        if isinstance(part, str):
            try:
                masked, found = mask(part, kinds)
            except Exception:
                counts["failed"] += 1
                return FAILED
            counts.update(found)
            return masked
        if isinstance(part, list):
            return [walk(entry) for entry in part]
        if isinstance(part, dict):
            return {key: entry if key in kept else walk(entry) for key, entry in part.items()}
        return part

    return walk(value), counts
