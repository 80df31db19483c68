import json
from pathlib import Path

import pytest

from syncline.address import Address, read_address
from syncline.errors import ConfigError


VECTORS = json.loads((Path(__file__).parents[1] / "vectors/addresses.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["url"])
def test_address_is_taken_apart(vector):
    expected = Address(origin=vector["origin"], base=vector["base"], namespace=vector["namespace"])

    assert expected == read_address(vector["url"])


@pytest.mark.parametrize("url", VECTORS["bad"])
def test_what_is_no_address_is_a_wrong_setting(url):
    with pytest.raises(ConfigError) as raised:
        read_address(url)

    assert "secret" not in str(raised.value)
    assert raised.value.hint


@pytest.mark.parametrize("url", [None, 8765, b"http://127.0.0.1:8765"])
def test_what_is_no_text_is_no_address(url):
    with pytest.raises(ConfigError):
        read_address(url)


def test_doors_lie_below_the_base():
    address = read_address("https://example.com/sync/state")

    assert "https://example.com/sync/version" == address.door("version")
    assert "sync/socket.io" == address.socketio_path
    assert "socket.io" == read_address("http://127.0.0.1:8765").socketio_path
