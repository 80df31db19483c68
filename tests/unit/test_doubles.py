"""Numbers in the spellings of several languages."""

import math

import pytest

from syncline.doubles import kept_float, kept_integer, loads, number_text


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        pytest.param(2**53, 2**53, id="small"),
        pytest.param(2**53 + 1, None, id="between two doubles"),
        pytest.param(2**60, 2**60, id="all digits"),
        pytest.param(1152921504606847000, 2**60, id="the fewest digits"),
        pytest.param(-1152921504606847000, -(2**60), id="negative"),
        pytest.param(1152921504606847001, None, id="neither"),
        pytest.param(2**64, 2.0**64, id="beyond 64 bits"),
        pytest.param(18446744073709552000, 2.0**64, id="beyond 64 bits, the fewest digits"),
        pytest.param(10**23, None, id="JavaScript would write an exponent"),
        pytest.param(10**400, None, id="beyond all doubles"),
    ],
)
def test_an_integer_is_kept_in_the_digits_of_a_double(value, kept):
    assert (kept, type(kept)) == (kept_integer(value), type(kept_integer(value)))


def test_what_is_kept_is_kept_again():
    values = [2.0**power for power in range(1100) if power < 1024]
    kept = [kept_float(value) for value in values]

    assert values == kept
    assert kept == [kept_integer(one) if type(one) is int else kept_float(one) for one in kept]


def test_javascripts_text_of_every_power_of_two_is_taken():
    for power in range(70):
        assert 2**power == kept_integer(int(number_text(2.0**power)))


@pytest.mark.parametrize("convert", [str, str.encode], ids=["text", "bytes"])
def test_integers_are_read_to_the_last_digit(convert):
    assert [2**64 + 1, 0.5, "é"] == loads(convert(f'[{2**64 + 1},0.5,"é"]'))


@pytest.mark.parametrize("word", ["NaN", "Infinity", "1e400", "-Infinity"])
@pytest.mark.parametrize("beside", ["1", "1" * 30])
def test_what_is_no_number_is_refused_with_or_without_a_long_one_beside(word, beside):
    with pytest.raises(ValueError, match=r"double|JSON|column"):
        loads(f"[{beside},{word}]")


def test_an_infinity_has_no_text():
    assert "null" == number_text(math.inf)
