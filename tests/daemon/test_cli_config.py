"""`syncline config` says what `serve` would do; where hooks are found; exit codes of refusals."""

import json
import sqlite3

import pytest


HOOKS = """
from syncline import Hooks, Refuse

def validate(principal, before, after):
    raise Refuse("never")

def made():
    return Hooks(validate={"todo": validate})

hooks = made
"""
CONFIG = ["--config", "settings/synclined.toml"]


@pytest.fixture
def settings(tmp_path):
    """Write the settings file, and a database that its models are kept in, by its whole path."""
    folder = tmp_path / "settings"
    folder.mkdir()

    def write(text):
        store = f'[store]\nurl = "sqlite:///{tmp_path}/tasks.db"\n'
        (folder / "synclined.toml").write_text(f"{text}\n{store}")
        return folder

    return write


def models(properties):
    return f"[models.task]\n{properties}"


TITLE = models('properties.title = "string"')
DONE = f'{TITLE}\nproperties.done = "boolean"'
NEEDED = f'{TITLE}\nproperties.done = {{ type = "boolean", nullable = false }}'


def columns(tmp_path):
    with sqlite3.connect(tmp_path / "tasks.db") as other:
        found = other.execute("SELECT name FROM pragma_table_info('task')").fetchall()
    other.close()
    return [name for (name,) in found]


@pytest.fixture
def stored(cli, settings):
    settings(TITLE)
    cli("put", "tasks.db", "task", "1", "title=milk", *CONFIG)


@pytest.mark.usefixtures("stored")
def test_config_check_says_what_the_next_start_does_to_a_table_and_does_nothing(
    cli, settings, tmp_path
):
    settings(DONE)

    said = cli("config", "check", *CONFIG).stdout
    told = json.loads(cli("config", "check", "--json", *CONFIG).stdout)

    assert "at the next start: task.done: a column is added" in said
    assert (True, 1) == (told["ok"], len(told["changes"]))
    assert ["id", "title"] == columns(tmp_path)


@pytest.mark.usefixtures("stored")
def test_config_migrate_shows_first_and_does_then(cli, settings, tmp_path):
    settings(DONE)

    shown = cli("config", "migrate", "--dry-run", *CONFIG).stdout
    before = columns(tmp_path)
    done = cli("config", "migrate", *CONFIG).stdout
    again = json.loads(cli("config", "migrate", "--json", *CONFIG).stdout)

    assert "task.done: a column is added" in shown
    assert shown == done
    assert (["id", "title"], ["id", "title", "done"]) == (before, columns(tmp_path))
    assert {"changes": [], "done": False} == again


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    "command", [["config", "check"], ["config", "migrate"], ["serve", "--port", "0"]]
)
def test_a_change_that_the_records_do_not_allow_is_refused_by_name(
    syncline, settings, tmp_path, command
):
    settings(NEEDED)

    refused = syncline(*command, *CONFIG, code=2)

    assert "models.task.properties.done: 1 record does not allow it ('1')" in refused.stderr
    assert "hint: give the property a default" in refused.stderr
    assert ["id", "title"] == columns(tmp_path)


def test_the_daemon_serves_a_property_that_was_added(cli, serve, settings, tmp_path):
    settings(TITLE)
    daemon = serve(f"{tmp_path}/tasks.db", *CONFIG, cwd=tmp_path)
    cli("put", daemon.url, "task", "1", "title=milk")
    daemon.end()
    settings(DONE)
    daemon = serve(f"{tmp_path}/tasks.db", *CONFIG, cwd=tmp_path)

    cli("put", daemon.url, "task", "2", "title=bread", "done=true")
    found = json.loads(cli("find", daemon.url, "task", "--json").stdout)

    assert [("1", None), ("2", True)] == [(r["id"], r.get("done")) for r in found]


def test_an_error_of_the_store_tells_a_client_no_path(cli, serve, tmp_path):
    daemon = serve(f"{tmp_path}/tasks.db")
    with sqlite3.connect(tmp_path / "tasks.db") as other:
        other.execute("ALTER TABLE syncline_changes RENAME TO gone")
    other.close()

    said = cli("put", daemon.url, "task", "1", "title=milk", code=1).stderr

    assert "the store: no such table" in said
    assert str(tmp_path) not in said


# ---- hooks ------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["rules:made", "rules.py", "rules.py:made"])
def test_hooks_are_found_in_the_folder_of_the_settings(
    cli, syncline, serve, settings, tmp_path, reference
):
    folder = settings(f'schemaless = ["todo"]\nhooks = ["{reference}"]')
    (folder / "rules.py").write_text(HOOKS)
    syncline("config", "check", *CONFIG)
    daemon = serve("memory:", *CONFIG, cwd=tmp_path)

    assert "never" in cli("put", daemon.url, "todo", "1", "n=1", code=1).stderr


def test_hooks_of_a_flag_are_found_from_where_it_is_typed(cli, serve, tmp_path):
    (tmp_path / "app.py").write_text(HOOKS)
    daemon = serve("memory:", "--hooks", "app.py", "--model", "todo", cwd=tmp_path)

    assert "never" in cli("put", daemon.url, "todo", "1", "n=1", code=1).stderr


@pytest.mark.parametrize(
    ("reference", "word"),
    [
        pytest.param("nowhere:hooks", "No module named", id="no such module"),
        pytest.param("none.py", "there is no file", id="no such file"),
        pytest.param("rules.py:other", "no attribute", id="no such name"),
        pytest.param("json.py", "another module is named json", id="a name that is taken"),
    ],
)
def test_hooks_that_can_not_be_loaded_are_said_by_check_and_by_serve_alike(
    syncline, settings, reference, word
):
    folder = settings(f'hooks = ["{reference}"]')
    (folder / "rules.py").write_text(HOOKS)
    (folder / "json.py").write_text(HOOKS)

    for command in (["config", "check"], ["serve", "--port", "0"]):
        assert word in syncline(*command, *CONFIG, code=2).stderr


def test_what_is_no_reference_to_hooks_is_a_setting_that_is_wrong(cli):
    said = cli("serve", "--hooks", "rules", code=2).stderr

    assert '"rules" must be "module:function", "file.py"' in said


def test_serve_lets_in_the_origins_of_its_flags_beside_its_own_pages(serve):
    import urllib.error
    import urllib.request

    daemon = serve("memory:", "--origin", "https://app.example")

    def ask(origin):
        url = f"{daemon.url}/socket.io/?EIO=4&transport=polling"
        request = urllib.request.Request(url, headers={"Origin": origin})
        try:
            return urllib.request.urlopen(request, timeout=20).status
        except urllib.error.HTTPError as error:
            return error.code

    told = [ask(origin) for origin in ("https://app.example", daemon.url, "https://other.example")]
    assert told[0] == told[1] != told[2]


# ---- exit codes -------------------------------------------------------------------------


def test_a_write_without_the_right_is_exit_code_5(cli, serve, tmp_path):
    made = json.loads(cli("token", "reader", "--right", "todo=read", "--json").stdout)
    (tmp_path / "synclined.toml").write_text(
        f'schemaless = ["todo"]\n[[tokens]]\nname = "reader"\nsha256 = "{made["sha256"]}"\n'
        'rights = { todo = "read" }\n'
    )
    url = serve("memory:", "--config", str(tmp_path / "synclined.toml")).url
    token = ["--token", made["token"]]
    cli("put", "a.db", "todo", "1", "n=1")

    assert "may not" in cli("put", url, "todo", "1", "n=1", *token, code=5).stderr
    cli("sync", "a.db", url, *token, code=5)


@pytest.mark.parametrize("query", [["--where", '{"n": {"zz": 1}}'], ["--order", "n UP"]])
@pytest.mark.parametrize("where", ["store", "daemon"])
def test_a_filter_that_is_none_is_wrong_usage(cli, serve, where, query):
    target = "a.db" if where == "store" else serve().url
    cli("put", target, "todo", "1", "n=1")

    cli("find", target, "todo", *query, code=2)
