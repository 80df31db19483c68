"""The verbs on records, watch and status: at a database and at a daemon."""

import json
import signal

import pytest


@pytest.fixture(params=["store", "daemon"])
def target(request, serve):
    return "todos.db" if request.param == "store" else serve().url


def test_record_is_put_read_patched_and_deleted(cli, target):
    cli("put", target, "todo", "1", "title=milk", "n=3", "done=false")
    cli("patch", target, "todo", "1", "done=true")

    expected = {"id": "1", "title": "milk", "n": 3, "done": True}
    assert expected == json.loads(cli("get", target, "todo", "1", "--json").stdout)
    assert "title  milk" in cli("get", target, "todo", "1").stdout
    cli("delete", target, "todo", "1")
    assert "there is no todo '1'" in cli("get", target, "todo", "1", code=1).stderr
    assert "there is no todo '1'" in cli("delete", target, "todo", "1", code=1).stderr


def test_data_is_json_standard_input_or_pairs(cli, target):
    cli("put", target, "todo", "json", '{"a": {"b": [1, null]}}')
    cli("put", target, "todo", "stdin", "-", stdin='{"a": "é"}')
    cli("put", target, "todo", "pairs", "a=b=c", "empty=", 'text="3"', "not=NaN", "list=[1, 2]")

    found = {r["id"]: r for r in json.loads(cli("find", target, "todo", "--json").stdout)}
    assert {"id": "json", "a": {"b": [1, None]}} == found["json"]
    assert {"id": "stdin", "a": "é"} == found["stdin"]
    expected = {"a": "b=c", "empty": "", "text": "3", "not": "NaN", "list": [1, 2]}
    assert {"id": "pairs", **expected} == found["pairs"]


def test_a_record_is_not_emptied_by_a_put_without_data(cli, target):
    """As in `put DB todo 1 < file`, which forgets the `-`."""
    cli("put", target, "todo", "1", "title=milk")

    said = cli("put", target, "todo", "1", stdin='{"title": "bread"}', code=2)

    assert "DATA is missing" in said.stderr
    assert {"id": "1", "title": "milk"} == json.loads(
        cli("get", target, "todo", "1", "--json").stdout
    )
    cli("put", target, "todo", "1", "{}")
    assert {"id": "1"} == json.loads(cli("get", target, "todo", "1", "--json").stdout)


BARE = "127.0.0.1:8775"


@pytest.mark.parametrize(
    "args",
    [
        ["get", BARE, "t", "1"],
        ["find", BARE, "t"],
        ["count", BARE, "t"],
        ["put", BARE, "t", "1", "n=1"],
        ["patch", BARE, "t", "1", "n=1"],
        ["delete", BARE, "t", "1"],
        ["watch", BARE, "t"],
        ["sync", "a.db", BARE],
        ["sync", BARE, "a.db", "--live"],
        ["sync", BARE, "a.db", "--dry-run"],
        ["verify", BARE, "a.db"],
        ["explain", "t", "1", "--replica", BARE],
        ["status", BARE],
        ["compact", BARE, "--older-than", "1d"],
        ["conflicts", "list", BARE],
        ["serve", "--store", BARE],
    ],
    ids=lambda args: " ".join(args[:1]),
)
def test_an_address_without_its_scheme_is_refused_with_the_one_meant(cli, tmp_path, args):
    said = cli(*args, code=2).stderr

    assert f"http://{BARE}" in said
    assert [] == [path.name for path in tmp_path.iterdir()]


def test_any_path_is_a_database_of_its_own(cli, serve):
    for name in ("q?1.db", "q?2.db", "a%20b.db", "file:u.db"):
        cli("put", name, "t", "1", f"name={name}")
        assert name == json.loads(cli("get", name, "t", "1", "--json").stdout)["name"]

    assert "1 sent, 0 received" in cli("sync", "q?1.db", "new#?.db").stdout


def test_write_answers_with_its_change(cli, target):
    made = json.loads(cli("put", target, "todo", "1", "n=1", "--json").stdout)
    gone = json.loads(cli("delete", target, "todo", "1", "--json").stdout)

    assert {"model", "id", "kind", "rev", "seq", "origin", "data"} == set(made) == set(gone)
    assert ("create", {"id": "1", "n": 1}) == (made["kind"], made["data"])
    assert ("delete", None) == (gone["kind"], gone["data"])


def test_quiet_write_says_nothing(cli, target):
    assert "" == cli("put", target, "todo", "1", "n=1", "--quiet").output


@pytest.fixture
def filled(cli, target):
    for number in range(5):
        cli(
            "put",
            target,
            "todo",
            f"t{number}",
            f"n={number}",
            f"odd={str(number % 2 == 1).lower()}",
        )
    return target


def test_find_filters_orders_and_pages(cli, filled):
    def ids(*args):
        found = json.loads(cli("find", filled, "todo", "--json", *args).stdout)
        return [record["id"] for record in found]

    assert ["t0", "t1", "t2", "t3", "t4"] == ids()
    assert ["t1", "t3"] == ids("--where", '{"odd": true}')
    assert ["t4", "t3"] == ids("--order", "n DESC", "--limit", "2")
    assert ["t2", "t3"] == ids("--after", "t1", "--limit", "2")
    assert [] == ids("--where", '{"n": {"gt": 100}}')


def test_find_from_a_daemon_goes_on_past_a_page(cli, filled, monkeypatch):
    monkeypatch.setattr("synclined.cli.records.PAGE_RECORDS", 2)

    found = json.loads(cli("find", filled, "todo", "--json").stdout)
    some = json.loads(
        cli("find", filled, "todo", "--json", "--limit", "3", "--order", "n DESC").stdout
    )

    assert 5 == len(found)
    assert ["t4", "t3", "t2"] == [record["id"] for record in some]


def test_find_for_people_is_aligned(cli, filled):
    lines = cli("find", filled, "todo", "--limit", "2").stdout.splitlines()

    assert ["id  n  odd", "t0  0  false", "t1  1  true"] == lines


def test_nothing_found_prints_nothing_for_people(cli, target):
    cli("put", target, "todo", "1", "n=1")

    assert "" == cli("find", target, "todo", "--where", '{"n": 2}').stdout


def test_count(cli, filled):
    assert "5\n" == cli("count", filled, "todo").stdout
    counted = json.loads(cli("count", filled, "todo", "--where", '{"odd": true}', "--json").stdout)
    assert {"model": "todo", "count": 2} == counted


def test_wrong_filter_is_named(cli, filled):
    error = cli("find", filled, "todo", "--where", '{"n": {"nope": 1}}', code=2).stderr

    assert error.startswith("syncline: ")
    assert "nope" in error


def test_text_that_would_steer_the_terminal_is_shown_quoted(cli, target):
    cli("put", target, "todo", "1", json.dumps({"title": "\x1b[31mred\nline"}))

    assert r"\u001b[31mred\nline" in cli("get", target, "todo", "1").stdout
    assert "\x1b" not in cli("find", target, "todo").stdout


def test_typed_models_are_declared_by_the_settings(cli, tmp_path):
    (tmp_path / "synclined.toml").write_text(
        '[models.task]\nproperties.title = { type = "string", nullable = false }\n'
    )
    config = ["--config", "synclined.toml"]

    cli("put", "a.db", "task", "1", "title=milk", *config)

    assert "task.title" in cli("put", "a.db", "task", "2", "title=3", *config, code=1).stderr
    assert "milk" in cli("find", "a.db", "task", *config).stdout
    assert "no model 'todo'" in cli("count", "a.db", "todo", *config, code=1).stderr


# ---- tokens -----------------------------------------------------------------------------


@pytest.fixture
def guarded(cli, serve, tmp_path):
    """A daemon that wants a token, and the token of one who may read."""
    made = json.loads(cli("token", "reader", "--right", "todo=read", "--json").stdout)
    (tmp_path / "synclined.toml").write_text(
        f'schemaless = ["todo"]\n[[tokens]]\nname = "reader"\nsha256 = "{made["sha256"]}"\n'
        'rights = { todo = "read" }\n'
    )
    daemon = serve("memory:", "--config", str(tmp_path / "synclined.toml"))
    return daemon.url, made["token"]


def test_missing_unknown_and_lesser_token_are_exit_code_5(cli, guarded):
    url, token = guarded

    cli("count", url, "todo", code=5)
    cli("count", url, "todo", "--token", "nonsense", code=5)
    cli("watch", url, "todo", code=5)
    cli("status", url, code=5)
    assert "0\n" == cli("count", url, "todo", "--token", token).stdout
    cli("count", url, "secret", "--token", token, code=5)


def test_token_comes_from_the_environment(cli, guarded, monkeypatch):
    url, token = guarded
    monkeypatch.setenv("SYNCLINE_TOKEN", token)

    assert "0\n" == cli("count", url, "todo").stdout


# ---- watch ------------------------------------------------------------------------------


def test_watch_prints_changes_as_they_happen(start, cli, target, tmp_path):
    cli("put", target, "todo", "old", "n=0")
    cli("put", target, "todo", "1", "n=0")
    watching = start("watch", target, "todo", "--json", "--limit", "3", cwd=tmp_path)
    watching.wait_for("watching todo", watching.err)

    shown = []
    for args in (["put", "2", "n=1"], ["patch", "1", "n=2"], ["delete", "old"]):
        cli(args[0], target, "todo", *args[1:])
        shown.append(json.loads(watching.wait_for(r"^\{.*")[0]))

    assert 0 == watching.wait()
    assert watching.err.get() is None
    assert ["create", "update", "delete"] == [each["kind"] for each in shown]
    assert ["2", "1", "old"] == [each["id"] for each in shown]
    assert [{"id": "2", "n": 1}, {"id": "1", "n": 2}, None] == [each["data"] for each in shown]
    assert [3, 4, 5] == [each["seq"] for each in shown]


def test_watch_that_is_interrupted_has_nothing_more_to_say(start, cli, target, tmp_path):
    cli("put", target, "todo", "old", "n=0")
    watching = start("watch", target, "todo", cwd=tmp_path)
    watching.wait_for("watching todo", watching.err)
    cli("put", target, "todo", "1", "n=0")
    watching.wait_for("create  todo/1")

    assert 130 == watching.end(signal.SIGINT)
    assert "" == watching.err.get()
    assert watching.err.get() is None


def test_watch_since_a_position_begins_there(cli, target):
    for number in range(3):
        cli("put", target, "todo", number, f"n={number}")

    lines = cli("watch", target, "todo", "--since", "1", "--limit", "2", "--quiet").stdout

    assert ["todo/1", "todo/2"] == [line.split()[2] for line in lines.splitlines()]


# ---- status -----------------------------------------------------------------------------


def test_status_of_a_daemon(cli, serve):
    url = serve().url
    cli("put", url, "todo", "1", "n=1")

    told = json.loads(cli("status", url, "--json").stdout)

    assert ("daemon", True, 1, {"todo": 1}) == (
        told["kind"],
        told["ready"],
        told["head"],
        told["models"],
    )
    assert {"version", "protocol", "epoch", "source", "state", "target"} <= set(told)
    assert "todo (1)" in cli("status", url).stdout


def test_status_of_a_store(cli):
    cli("put", "a.db", "todo", "1", "n=1")

    told = json.loads(cli("status", "a.db", "--json", "--fail-if-behind").stdout)

    assert {"pending": 0, "conflicts": 0, "parked": 0, "cursor": None}.items() <= told.items()
    assert ("store", False, {"todo": 1}) == (told["kind"], told["follows"], told["models"])
