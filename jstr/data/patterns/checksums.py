"""Check digits of common codes: whether a text, without spaces and hyphens and in upper case, passes."""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Callable

from jstr.text.messages import InputError

Checksum = Callable[[str], bool]

# ISO 6346: A is 10, and multiples of 11 are left out.
_CONTAINER = {c: i for i, c in enumerate(string.digits)} | dict(
    zip(string.ascii_uppercase, (n for n in range(10, 39) if n % 11), strict=True)
)


def luhn(text: str) -> bool:
    """Payment cards, IMEI and many serial numbers (ISO/IEC 7812-1): digits only, two or more."""
    if not re.fullmatch("[0-9]{2,}", text):
        return False
    doubled = [int(c) * (1 + i % 2) for i, c in enumerate(reversed(text))]
    return sum(n // 10 + n % 10 for n in doubled) % 10 == 0


def iso6346(text: str) -> bool:
    """Freight containers: four letters, six digits and the check digit."""
    if not re.fullmatch("[A-Z]{4}[0-9]{7}", text):
        return False
    return sum(_CONTAINER[c] << i for i, c in enumerate(text[:10])) % 11 % 10 == int(text[10])


def ean13(text: str) -> bool:
    """Articles and books (GTIN-13, ISBN-13): 13 digits."""
    return bool(re.fullmatch("[0-9]{13}", text)) and sum(int(c) * (1 + i % 2 * 2) for i, c in enumerate(text)) % 10 == 0


def iban(text: str) -> bool:
    """Bank accounts (ISO 13616): country, two check digits, up to 30 letters and digits; the country is not checked."""
    if not re.fullmatch("[A-Z]{2}[0-9]{2}[A-Z0-9]{1,30}", text):
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


CHECKSUMS: dict[str, Checksum] = {"luhn": luhn, "iso6346": iso6346, "ean13": ean13, "iban": iban}


def find_checksum(checksum: str | Checksum) -> Checksum | None:
    """The check of a name or, as it is, a function of the text; None for "". Raises InputError: an unknown name."""
    if callable(checksum):
        return checksum
    if not checksum:
        return None
    if not isinstance(checksum, str):
        raise InputError(f"checksum={checksum!r}: give a name or a function of the text")
    if checksum not in CHECKSUMS:
        raise InputError(f"checksum={checksum!r}: choose one of {', '.join(CHECKSUMS)}; an empty one stands for none")
    return functools.partial(_check, CHECKSUMS[checksum])


def _check(checksum: Checksum, text: str) -> bool:
    return checksum(re.sub("[ -]", "", text).upper())
