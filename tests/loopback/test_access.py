"""Who may do what, by LoopBack's kinds: READ, REPLICATE and WRITE, each refusal a 401."""

import base64
import hashlib
import itertools

import pytest
from tests.loopback.conftest import LoopBackError, Server, bearer


CAR = {"id": "c1", "maker": "Ford"}
TOKENS = {name: f"the-token-of-the-{name}" for name in ("reader", "replicator", "writer")}
RIGHTS = {"reader": "read", "replicator": "replicate", "writer": "write"}
REFUSED = {
    "statusCode": 401,
    "name": "Error",
    "message": "Authorization Required",
    "code": "AUTHORIZATION_REQUIRED",
}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    config = tmp_path_factory.mktemp("access") / "synclined.toml"
    names = ", ".join(f'"Car{i}"' for i in range(100))
    text = f"schemaless = [{names}]\n"
    for name, token in TOKENS.items():
        sha256 = hashlib.sha256(token.encode()).hexdigest()
        text += f'[[tokens]]\nname = "{name}"\nsha256 = "{sha256}"\n'
        text += f'rights = {{ "*" = "{RIGHTS[name]}" }}\n'
    config.write_text(text)
    server = Server("--config", str(config))
    yield server
    assert 0 == server.end()


class Party:
    """One caller with a local model, and the daemon's model as that caller sees it."""

    def __init__(self, agent, server, name, number):
        self.agent, self.server, self.name = agent, server, name
        self.local, self.remote = f"{name}-{number}", f"{name}-remote-{number}"
        self.model = f"Car{number}"
        agent.local(self.local, model=f"Local{self.model}")
        token = {} if name == "anonymous" else {"token": TOKENS[name]}
        agent.remote(self.remote, model=self.model, url=server.api, beside=self.local, **token)

    def push(self, **options):
        return self.agent.push(self.local, self.remote, **options)

    def pull(self, **options):
        return self.agent.push(self.remote, self.local, **options)

    def at_server(self, method, path, data=None):
        answer = self.server.request(
            method, f"/{self.model}{path}", data, headers=bearer(TOKENS["writer"])
        )
        assert 200 == answer.status
        return answer.json


@pytest.fixture
def party(shared_agent, guarded):
    number = next(_numbers)
    return lambda name: Party(shared_agent, guarded, name, number)


def refused(work):
    with pytest.raises(LoopBackError) as caught:
        work()
    return caught.value.status, caught.value.code


AUTHORIZATION = (401, "AUTHORIZATION_REQUIRED")


# ---- the token's forms ---------------------------------------------------------------------------


TOKEN = TOKENS["reader"]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Authorization": TOKEN}, id="raw"),
        pytest.param(bearer(TOKEN), id="bearer in base64"),
        pytest.param({"Authorization": f"Bearer {TOKEN}"}, id="bearer as it is"),
        pytest.param({"X-Access-Token": TOKEN}, id="x-access-token"),
        pytest.param(
            {"Authorization": "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode()},
            id="basic user",
        ),
        pytest.param(
            {"Authorization": "Basic " + base64.b64encode(f":{TOKEN}".encode()).decode()},
            id="basic password",
        ),
    ],
)
def test_a_token_is_taken_in_all_of_loopbacks_forms(guarded, headers):
    assert 200 == guarded.get("/Car0", headers=headers).status


def test_a_token_is_taken_from_the_query(guarded):
    assert 200 == guarded.get(f"/Car0?access_token={TOKEN}").status


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": "wrong"}, id="wrong"),
        pytest.param(bearer("wrong"), id="wrong bearer"),
        pytest.param({"Authorization": "Basic !"}, id="broken basic"),
        pytest.param({"X-Access-Token": "x" * 5000}, id="long"),
    ],
)
def test_no_or_a_wrong_token_is_401(guarded, headers):
    answer = guarded.get("/Car0", headers=headers)

    assert (401, REFUSED) == (answer.status, answer.json["error"])


def test_a_known_caller_without_the_right_is_401_too(guarded):
    answer = guarded.post("/Car0", CAR, headers=bearer(TOKENS["reader"]))

    assert (401, REFUSED) == (answer.status, answer.json["error"])


# ---- plain access --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "may_read", "may_write"),
    [
        ("anonymous", False, False),
        ("reader", True, False),
        ("replicator", True, False),
        ("writer", True, True),
    ],
)
def test_a_caller_reads_and_writes_by_its_rights(party, name, may_read, may_write):
    caller = party(name)

    found = [
        (refused(work) if not may else work() is not None)
        for may, work in [
            (may_read, lambda: caller.agent.find(caller.remote)),
            (may_write, lambda: caller.agent.create(caller.remote, data=CAR)),
        ]
    ]

    assert [may or AUTHORIZATION for may in (may_read, may_write)] == found


# ---- replication ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "may_pull", "may_push"),
    [
        ("anonymous", False, False),
        ("reader", False, False),
        ("replicator", True, False),
        ("writer", True, True),
    ],
)
def test_a_caller_pulls_and_pushes_by_its_rights(party, name, may_pull, may_push):
    caller = party(name)
    caller.at_server("POST", "", {"id": "s1"})
    caller.agent.create(caller.local, data=CAR)

    if may_pull:
        assert [] == caller.pull()["conflicts"]
        assert "s1" == caller.agent.get(caller.local, key="s1")["id"]
    else:
        assert AUTHORIZATION == refused(caller.pull)
    if may_push:
        assert [] == caller.push()["conflicts"]
        assert "Ford" == caller.at_server("GET", "/c1")["maker"]
    else:
        assert AUTHORIZATION == refused(caller.push)


@pytest.fixture
def torn(party):
    """Return a caller whose record and the daemon's were both edited since they were level."""

    def tear(name):
        caller = party(name)
        owner = Party(caller.agent, caller.server, "writer", f"{caller.model[3:]}") if (
            name != "writer"
        ) else caller  # fmt: skip
        owner.at_server("POST", "", CAR)
        if name in ("replicator", "writer"):
            caller.pull()
        else:
            caller.agent.create(caller.local, data=CAR)
        caller.agent.patch(caller.local, key="c1", data={"maker": "ours"})
        caller.at_server("PATCH", "/c1", {"maker": "theirs"})
        return caller

    return tear


def test_anonymous_may_not_resolve(torn):
    caller = torn("anonymous")

    assert AUTHORIZATION == refused(lambda: caller.agent.last(caller.remote, key="c1"))
    assert AUTHORIZATION == refused(
        lambda: caller.agent.call(
            caller.remote, method="updateLastChange", args=["c1", {"prev": None}]
        )
    )


def test_a_reader_may_resolve_a_push_conflict_with_its_source(torn):
    """It reads the daemon's change and writes its own."""
    caller = torn("reader")
    theirs = caller.agent.last(caller.remote, key="c1")

    rebased = caller.agent.call(
        caller.local, method="updateLastChange", args=["c1", {"prev": theirs["rev"]}]
    )

    assert theirs["rev"] == rebased["prev"]


@pytest.mark.parametrize("name", ["reader", "replicator"])
def test_resolving_at_the_daemon_needs_write(torn, name):
    caller = torn(name)

    assert AUTHORIZATION == refused(
        lambda: caller.agent.call(
            caller.remote, method="updateLastChange", args=["c1", {"prev": "d" * 40}]
        )
    )
    if name == "replicator":
        assert AUTHORIZATION == refused(lambda: caller.pull(resolve="source"))


def test_a_replicator_may_resolve_a_pull_conflict_in_reverse(torn):
    caller = torn("replicator")

    found = caller.pull(resolve="target", swap=True)["conflicts"]

    assert ["c1"] == [one["id"] for one in found]
    assert [] == caller.pull()["conflicts"]
    assert "theirs" == caller.agent.get(caller.local, key="c1")["maker"]


def test_a_writer_resolves_a_push_conflict_with_its_source(torn):
    caller = torn("writer")

    found = caller.push(resolve="source")["conflicts"]

    assert ["c1"] == [one["id"] for one in found]
    assert [] == caller.push()["conflicts"]
    assert "ours" == caller.at_server("GET", "/c1")["maker"]


def test_a_writer_resolves_a_pull_conflict_at_the_daemon(torn):
    caller = torn("writer")

    found = caller.pull(resolve="source")["conflicts"]

    assert ["c1"] == [one["id"] for one in found]
    assert [] == caller.pull()["conflicts"]
    assert "theirs" == caller.agent.get(caller.local, key="c1")["maker"]


def test_a_caller_sees_only_the_models_it_may_read(guarded):
    shown = guarded.get("/openapi.json", headers=bearer(TOKENS["reader"])).json["paths"]

    assert "/api/Car0s" in shown
    assert 401 == guarded.get("/openapi.json").status
