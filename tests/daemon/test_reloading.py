"""SIGHUP: settings are read again while the daemon serves, and nobody entitled is cut off."""

import hashlib
import json
import os
import signal
import urllib.error
import urllib.request

import pytest

import syncline


WAIT_S = 20
ORIGIN = "https://app.example"
RULES = """
from syncline import Hooks, Refuse
from rule_texts import WORD

def validate(principal, before, after):
    if after is not None and "bad" in after:
        raise Refuse(WORD)

hooks = Hooks(validate={"todo": validate})
"""


def token_table(name, token, right="write"):
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f'[[tokens]]\nname = "{name}"\nsha256 = "{digest}"\nrights = {{ "*" = "{right}" }}\n'


class Reloadable:
    """A daemon with a settings file, which is written anew and read again."""

    def __init__(self, start, folder):
        self._start, self.folder = start, folder
        self._settings = folder / "synclined.toml"

    def settings(self, *tables, top="", port=0):
        listen = f'[listen]\nport = {port}\n[store]\nurl = "memory:"\n'
        text = 'schemaless = ["todo"]\n' + top + "\n" + listen + "\n".join(tables)
        self._settings.write_text(text)

    def serve(self):
        env = {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        self.program = self._start("serve", "--config", str(self._settings), env=env)
        self.url = self.program.wait_for(r"http://\S+")[0]

    def reload(self, event="settings.reloaded"):
        """Send the signal; return the line of the log that follows."""
        os.kill(self.program._process.pid, signal.SIGHUP)
        return self.hears(event)

    def hears(self, event):
        return json.loads(self.program.wait_for(rf'.*"event":"{event}".*', self.program.err)[0])


@pytest.fixture
def daemon(start, tmp_path):
    return Reloadable(start, tmp_path)


def answer_of(url, **headers):
    asked = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=WAIT_S) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def states_of(replica):
    states = []
    replica.link.on_status(lambda status: states.append(status.state.value))
    return states


async def test_a_link_stands_through_a_reload_and_a_new_token_is_known(daemon, in_thread):
    ann = token_table("ann", "first")
    daemon.settings(ann)
    await in_thread(daemon.serve)
    async with syncline.connect(daemon.url, models=["todo"], token="first") as one:
        await one.link.wait_live(WAIT_S)
        states = states_of(one)

        daemon.settings(ann, token_table("bob", "second"))
        told = await in_thread(daemon.reload)
        async with syncline.connect(daemon.url, models=["todo"], token="second") as other:
            await other.model("todo").put("1", {"title": "milk"})
            await other.link.wait_live(WAIT_S)
            await one.barrier(WAIT_S)

        assert ["tokens"] == told["changed"]
        assert {"title": "milk", "id": "1"} == await one.model("todo").get("1")
        assert not {"connecting", "offline"} & set(states)


async def test_who_was_revoked_is_cut_and_let_in_no_more(daemon, in_thread):
    ann, bob = token_table("ann", "first"), token_table("bob", "second")
    daemon.settings(ann, bob)
    await in_thread(daemon.serve)
    async with (
        syncline.connect(daemon.url, models=["todo"], token="first") as one,
        syncline.connect(daemon.url, models=["todo"], token="second") as other,
    ):
        await one.link.wait_live(WAIT_S)
        await other.link.wait_live(WAIT_S)
        states = states_of(one)

        daemon.settings(ann)
        await in_thread(daemon.reload)
        revoked = await in_thread(daemon.hears, "connection.revoked")

        assert "bob" == revoked["principal"]
        refused = await in_thread(daemon.hears, "connection.refused")
        assert "unauthenticated" == refused["error"]
        assert not {"connecting", "offline"} & set(states)


async def test_hooks_are_read_anew_with_what_they_import(daemon, in_thread):
    (daemon.folder / "rules").mkdir()
    (daemon.folder / "rules/__init__.py").write_text("")
    (daemon.folder / "rules/texts.py").write_text('WORD = "not so"\n')
    (daemon.folder / "rules/todos.py").write_text(RULES.replace("rule_texts", "rules.texts"))
    daemon.settings(top='hooks = ["rules.todos:hooks"]')
    await in_thread(daemon.serve)
    reasons = []
    hooks = syncline.Hooks(on_refused=lambda _update, reason: reasons.append(reason))
    async with syncline.connect(daemon.url, models=["todo"], hooks=hooks) as replica:
        await replica.model("todo").put("1", {"bad": 1})
        await in_thread(daemon.hears, "bulk_update.committed")

        (daemon.folder / "rules/texts.py").write_text('WORD = "nor so"\n')
        await in_thread(daemon.reload)
        await replica.model("todo").put("2", {"bad": 1})
        await in_thread(daemon.hears, "bulk_update.committed")
        await replica.barrier(WAIT_S)

    assert ["not so", "nor so"] == [reason.rpartition(": ")[2] for reason in reasons]


def test_hooks_that_are_broken_change_nothing(daemon):
    (daemon.folder / "rule_texts.py").write_text('WORD = "not so"\n')
    (daemon.folder / "app_rules.py").write_text(RULES)
    daemon.settings(top='hooks = ["app_rules:hooks"]')
    daemon.serve()

    (daemon.folder / "app_rules.py").write_text("this is no Python")
    daemon.settings(top=f'hooks = ["app_rules:hooks"]\norigins = ["{ORIGIN}"]')
    told = daemon.reload("settings.refused")

    assert "app_rules:hooks" in told["reason"]
    assert (
        "Access-Control-Allow-Origin" not in answer_of(f"{daemon.url}/api/todo", Origin=ORIGIN)[1]
    )


def test_settings_that_are_wrong_change_nothing(daemon):
    daemon.settings()
    daemon.serve()

    daemon.settings(top='origins = "everybody"')
    told = daemon.reload("settings.refused")

    assert "origins" in told["reason"]
    assert 200 == answer_of(f"{daemon.url}/readyz")[0]


def test_a_reload_never_lets_in_everybody(daemon):
    daemon.settings(token_table("ann", "first"))
    daemon.serve()

    daemon.settings()
    told = daemon.reload("settings.refused")

    assert "tokens" in told["reason"]
    assert 401 == answer_of(f"{daemon.url}/api/todo")[0]


def test_a_signal_while_it_starts_does_not_end_it(daemon, start):
    """Its interpreter must have begun: before that no program can have a say."""
    daemon.settings()
    env = {"PYTHONPATH": str(daemon.folder), "PYTHONDONTWRITEBYTECODE": "1"}
    (daemon.folder / "slow_rules.py").write_text(
        "import os, signal\nfrom syncline import Hooks\n"
        "os.kill(os.getpid(), signal.SIGHUP)\nhooks = Hooks()\n"
    )
    daemon.settings(top='hooks = ["slow_rules:hooks"]')

    program = start("serve", "--config", str(daemon.folder / "synclined.toml"), env=env)

    assert program.wait_for(r"http://\S+")


def test_origins_and_the_level_of_the_log_are_taken_over(daemon):
    daemon.settings("[log]\nlevel = 'warning'")
    daemon.serve()
    before = answer_of(f"{daemon.url}/api/todo", Origin=ORIGIN)[1]

    daemon.settings("[log]\nlevel = 'info'", top=f'origins = ["same", "{ORIGIN}"]')
    told = daemon.reload()

    assert ["origins", "log.level"] == told["changed"]
    after = answer_of(f"{daemon.url}/api/todo", Origin=ORIGIN)[1]
    names = "Access-Control-Allow-Origin"
    assert (None, ORIGIN) == (before.get(names), after.get(names))


def test_what_needs_a_restart_is_named_and_the_daemon_serves_on(daemon):
    daemon.settings()
    daemon.serve()

    daemon.settings(
        "[limits]\nconnections_max = 7", "[models.task]\nproperties.title = 'string'", port=9
    )
    told = daemon.reload("settings.restart_needed")

    assert {"listen.port", "limits.connections_max", "models.task"} == set(told["settings"])
    assert 200 == answer_of(f"{daemon.url}/readyz")[0]


def test_settings_that_are_back_as_they_were_need_no_restart(daemon):
    daemon.settings()
    daemon.serve()
    daemon.settings(port=9)
    daemon.reload("settings.restart_needed")

    daemon.settings()
    daemon.reload()

    daemon.program.end()
    rest = iter(daemon.program.err.get, None)
    assert not [line for line in rest if "settings.restart_needed" in line]
