"""Revisions: how they are made, taken apart, ordered and recognised."""

import pytest

from syncline.revision import (
    generation_of,
    is_deletion,
    is_revision,
    new_revision,
    next_generation,
    nonce_of,
    order_of,
    short_of,
)


NONCE = "00000000000000af"


def test_a_revision_is_its_generation_and_nonce():
    rev = new_revision(3, NONCE)

    assert f"3-{NONCE}" == rev
    assert (3, NONCE, f"3-{NONCE}") == (generation_of(rev), nonce_of(rev), short_of(rev))
    assert not is_deletion(rev)


def test_a_deletion_says_so_and_has_the_same_short_form():
    rev = new_revision(12, NONCE, deleted=True)

    assert f"12-{NONCE}-deleted" == rev
    assert (12, NONCE, f"12-{NONCE}") == (generation_of(rev), nonce_of(rev), short_of(rev))
    assert is_deletion(rev)


@pytest.mark.parametrize(
    ("revs", "ancestors", "generation"),
    [
        pytest.param((), (), 1, id="nothing known"),
        pytest.param((None, None), (), 1, id="none held"),
        pytest.param((f"2-{NONCE}", None, f"9-{NONCE}-deleted"), (), 10, id="the greatest counts"),
        pytest.param(
            (f"2-{NONCE}",), (f"10-{NONCE}", f"4-{NONCE}"), 11, id="a refused ancestor counts"
        ),
    ],
)
def test_the_next_generation_rises_above_all_that_is_known(revs, ancestors, generation):
    assert generation == next_generation(*revs, ancestors=ancestors)


def test_revisions_are_ordered_by_generation_as_a_number_then_by_nonce():
    revs = [f"10-{'0' * 16}", f"9-{'f' * 16}", f"9-{'e' * 16}-deleted"]

    assert revs[::-1] == sorted(revs, key=order_of)


@pytest.mark.parametrize("text", [f"1-{NONCE}", f"9999999999-{NONCE}", f"1-{NONCE}-deleted"])
def test_what_is_a_revision_is_known(text):
    assert is_revision(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="nothing"),
        pytest.param(1, id="a number"),
        pytest.param("", id="empty"),
        pytest.param(f"0-{NONCE}", id="generation nought"),
        pytest.param(f"01-{NONCE}", id="a padded generation"),
        pytest.param(f"-1-{NONCE}", id="a negative generation"),
        pytest.param(f"12345678901-{NONCE}", id="a generation too great"),
        pytest.param(f"1-{NONCE[1:]}", id="a short nonce"),
        pytest.param(f"1-{NONCE}0", id="a long nonce"),
        pytest.param(f"1-{NONCE.upper()}", id="upper case"),
        pytest.param(f"1-{NONCE}-gone", id="another end"),
        pytest.param(f"1-{NONCE}\n", id="a line end"),
        pytest.param(f"\u0661-{NONCE}", id="a digit of another script"),
    ],
)
def test_what_is_no_revision_is_known(text):
    assert not is_revision(text)
