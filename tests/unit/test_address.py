import json
from pathlib import Path

import pytest

import syncline
from syncline import blocking
from syncline.address import Address, address_meant, is_address, read_address
from syncline.errors import ConfigError
from syncline.opening import open_store


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


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1:8775", "http://127.0.0.1:8775"),
        ("127.0.0.1", "http://127.0.0.1:8765"),
        ("localhost", "http://localhost:8765"),
        ("localhost/sync", "http://localhost:8765/sync"),
        ("localhost:8765/", "http://localhost:8765/"),
        ("[::1]:8765", "http://[::1]:8765"),
        ("//host:80/sync", "http://host:80/sync"),
        ("sync.example.com:443", "http://sync.example.com:443"),
        ("http:/host:1", "http://host:1"),
        ("HTTPS:host", "https://host"),
        ("http://127.0.0.1:8775", None),
        ("todos.db", None),
        ("./127.0.0.1:8775", None),
        ("/tmp/localhost:1", None),
        ("C:\\todos.db", None),
        ("a:b", None),
        ("file:u.db", None),
        ("1.2.3.db", None),
        ("localhost.db", None),
        ("sqlite:///a.db", None),
    ],
)
def test_an_address_without_its_scheme_is_known(text, meant):
    assert meant == address_meant(text)


def test_a_scheme_is_one_in_any_case():
    assert is_address("HTTP://h")
    assert not is_address("sqlite:///h")


@pytest.mark.parametrize("text", ["127.0.0.1:8775", "localhost:1/x", "http:/h"])
def test_a_store_is_never_made_of_an_address_without_its_scheme(text):
    with pytest.raises(ConfigError, match="without its scheme") as raised:
        open_store(text)
    assert "http://" in raised.value.hint
    assert f"./{text}" in raised.value.hint


async def test_a_daemons_address_is_no_store_and_a_store_no_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="daemon's address"):
        await syncline.Replica.open("http://127.0.0.1:8765")
    with pytest.raises(ConfigError, match="no name"):
        await syncline.Replica.open("")
    for connect in (syncline.connect, syncline.connect_remote):
        with pytest.raises(ConfigError, match="no daemon's address") as raised:
            await connect("127.0.0.1:1", **({"models": []} if connect is syncline.connect else {}))
        assert "http://127.0.0.1:1" == raised.value.hint
    with pytest.raises(ConfigError, match="no daemon's address"):
        blocking.connect("127.0.0.1:1", models=[])

    assert [] == list(tmp_path.iterdir())
