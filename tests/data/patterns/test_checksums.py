"""Check digits: published examples, and every single wrong digit."""

import pytest

from jstr.data.patterns.checksums import find_checksum
from jstr.text.messages import InputError

EXAMPLES = {
    "luhn": ["4111111111111111", "79927398713", "490154203237518"],
    "iso6346": ["CSQU3054383", "csqu 305438-3", "TEXU3070079", "CSQU3054450"],
    "ean13": ["4006381333931", "978-0-306-40615-7"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "FR1420041010050500013M02606"],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_checksums(name):
    check = find_checksum(name)
    for text in EXAMPLES[name]:
        assert check(text)
        for i, c in enumerate(text):
            if c.isdigit():
                wrong = [text[:i] + str(d) + text[i + 1 :] for d in range(10) if str(d) != c]
                assert not any(map(check, wrong)) or name == "iso6346"  # a remainder of 10 stands for 0 there
    assert not check("") and not check("hello") and not check("0")


def test_a_function_is_taken_as_it_is():
    check = find_checksum(str.isdigit)
    assert check("12") and not check("1 2")
    assert find_checksum("") is None
    with pytest.raises(InputError, match="choose one of .*; an empty one stands for none"):
        find_checksum("crc")
