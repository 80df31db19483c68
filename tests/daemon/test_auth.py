import hashlib

import pytest

from syncline.errors import Unauthenticated
from synclined.access import ANYONE, Right
from synclined.auth import TOKEN_CHARS_MAX, authenticate, hash_token, new_token
from synclined.settings import Listen, Settings, Token


PHONE, LAPTOP = "phone's token", "laptop's token"
OPEN = Settings()
GUARDED = Settings(
    tokens=(
        Token(name="phone", sha256=hash_token(PHONE), rights={"*": "read"}),
        Token(name="laptop", sha256=hash_token(LAPTOP), rights={"*": "read", "todo": "write"}),
    )
)


def test_loopback_without_tokens_lets_anyone_in():
    assert ANYONE is authenticate(OPEN, None)
    assert ANYONE is authenticate(OPEN, "whatever")


def test_token_names_its_bearer_and_rights():
    principal = authenticate(GUARDED, LAPTOP)

    assert "laptop" == principal.name
    assert {"*": Right.READ, "todo": Right.WRITE} == dict(principal.rights)
    assert "phone" == authenticate(GUARDED, PHONE).name


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("guess", id="unknown"),
        pytest.param(hash_token(PHONE), id="the hash itself"),
        pytest.param(17, id="a number"),
        pytest.param({"token": PHONE}, id="an object"),
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param("x" * (TOKEN_CHARS_MAX + 1), id="endless"),
    ],
)
def test_what_is_no_known_token_is_refused(token):
    with pytest.raises(Unauthenticated) as refused:
        authenticate(GUARDED, token)

    assert PHONE not in str(refused.value)


def test_open_address_without_tokens_lets_nobody_in():
    """The settings refuse this; so does the door, should they ever not."""
    with pytest.raises(Unauthenticated):
        authenticate(Settings(listen=Listen(host="0.0.0.0")), None)


def test_new_tokens_are_long_and_never_the_same():
    tokens = {new_token() for _ in range(100)}

    assert 100 == len(tokens)
    assert min(map(len, tokens)) >= 43


def test_hash_is_what_sha256sum_prints():
    assert hashlib.sha256(b"abc").hexdigest() == hash_token("abc")


def test_settings_do_not_show_hashes():
    assert hash_token(PHONE) not in repr(GUARDED)
