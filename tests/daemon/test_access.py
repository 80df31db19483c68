import pytest

from synclined.access import ANYONE, Principal, Right, allows, allows_origin, needs_token


READER = Principal(name="reader", rights={"*": Right.READ})
AUTHOR = Principal(name="author", rights={"*": Right.READ, "todo": Right.WRITE, "pay": Right.NONE})


@pytest.mark.parametrize(
    ("principal", "right", "model", "expected"),
    [
        pytest.param(ANYONE, Right.WRITE, "todo", True, id="anyone writes"),
        pytest.param(READER, Right.READ, "todo", True, id="the star covers all models"),
        pytest.param(READER, Right.WRITE, "todo", False, id="read is not write"),
        pytest.param(AUTHOR, Right.WRITE, "todo", True, id="a named model goes before the star"),
        pytest.param(AUTHOR, Right.READ, "todo", True, id="write holds read"),
        pytest.param(AUTHOR, Right.WRITE, "car", False, id="the star for the others"),
        pytest.param(AUTHOR, Right.READ, "pay", False, id="none takes away"),
        pytest.param(AUTHOR, Right.NONE, "pay", True, id="no right is everybody's"),
        pytest.param(Principal(name="new"), Right.READ, "todo", False, id="without rights"),
    ],
)
def test_principal_may_do_what_its_rights_say(principal, right, model, expected):
    assert expected is allows(principal, right, model)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_a_token_only_when_there_are_tokens(host):
    assert not needs_token(host, has_tokens=False)
    assert needs_token(host, has_tokens=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "localhost.evil"])
def test_every_other_address_needs_a_token(host):
    assert needs_token(host, has_tokens=False)


@pytest.mark.parametrize("said", ["null", "file://"])
def test_page_that_is_opened_as_a_file_is_let_in_by_that_name_only(said):
    own = "http://127.0.0.1:8765"

    assert not allows_origin(["same"], said, own)
    assert allows_origin(["same", "file"], said, own)
    # As a hint names it, which says what the browser said.
    assert allows_origin(["same", said], said, own)
    assert not allows_origin(["file"], "https://app.example", own)
