"""The guide's examples run as they are printed."""

import asyncio
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.loopback.conftest import NODE, WAIT_S


GUIDE = (Path(__file__).parents[2] / "client" / "LOOPBACK.md").read_text()
PRINTED = "http://127.0.0.1:8765"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def printed_daemon(serve):
    """The daemon that the guide starts."""
    command = shlex.split(blocks("sh")[0])
    assert ["syncline", "serve"] == command[:2]
    return serve(*command[2:])


def test_the_curl_session_is_answered_as_printed(printed_daemon):
    if shutil.which("curl") is None:
        pytest.skip("install curl: apt install curl")
    session = blocks("console")[0].strip().split("$ ")[1:]
    told, expected = [], []
    for part in session:
        command, _, answer = part.strip().partition("\n")
        arguments = shlex.split(command.replace(PRINTED, printed_daemon.url))
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=WAIT_S, check=True)
        told.append(done.stdout)
        expected.append(answer)

    assert expected == told


def test_the_client_example_replicates(printed_daemon):
    if not (NODE / "node_modules").exists():
        pytest.skip("install LoopBack: npm ci --prefix tests/loopback/node")
    remote, recipe, line = (b.replace(PRINTED, printed_daemon.url) for b in blocks("js"))
    program = f"""
    const loopback = require('loopback');
    const app = loopback({{localRegistry: true, loadBuiltinModels: true}});
    const LocalCar = app.registry.createModel('LocalCar',
      {{id: {{type: 'string', id: true, generated: false}}}},
      {{base: 'PersistedModel', strict: false, trackChanges: true, changeCleanupInterval: -1}});
    app.model(LocalCar, {{dataSource: app.dataSource('db', {{connector: 'memory'}})}});
    {remote}
    {line}
    {recipe}
    const heard = new Promise((done) => LocalCar.observe('after save', async (ctx) => {{
      if (ctx.instance && ctx.instance.id === 'theirs') done();
    }}));
    socket.on('connect', async () => {{
      await LocalCar.create({{id: 'ours', maker: 'Ford'}});
      const conflicts = await LocalCar.replicate(RemoteCar);
      await RemoteCar.create({{id: 'theirs', maker: 'Audi'}});
      await heard;
      console.log(JSON.stringify([conflicts.length, await RemoteCar.count()]));
      process.exit(0);
    }});
    """
    done = subprocess.run(
        ["node", "-e", program],
        cwd=NODE,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )

    assert "[0,2]" == done.stdout.strip().splitlines()[-1], done.stderr


def test_the_since_that_is_recommended_loses_nothing_that_was_never_pulled(printed_daemon):
    if not (NODE / "node_modules").exists():
        pytest.skip("install LoopBack: npm ci --prefix tests/loopback/node")
    remote, _, line = (b.replace(PRINTED, printed_daemon.url) for b in blocks("js"))
    program = f"""
    const loopback = require('loopback');
    const app = loopback({{localRegistry: true, loadBuiltinModels: true}});
    const LocalCar = app.registry.createModel('LocalCar',
      {{id: {{type: 'string', id: true, generated: false}}}},
      {{base: 'PersistedModel', strict: false, trackChanges: true, changeCleanupInterval: -1}});
    app.model(LocalCar, {{dataSource: app.dataSource('db', {{connector: 'memory'}})}});
    {remote}
    {line}
    const synced = () => new Promise((done, fail) =>
      sync((error, conflicts) => error ? fail(error) : done(conflicts.length)));
    const url = '{printed_daemon.api}/Cars/c1';
    const edit = async (model) => (await LocalCar.findById('c1')).updateAttributes({{model}});
    (async () => {{
      await LocalCar.create({{id: 'c1', model: 'new'}});
      const found = [await synced()];
      await edit('one');
      // What a run does before it finds nobody there.
      await new Promise((done) => LocalCar.checkpoint(done));
      await edit('two');
      found.push(await synced());
      await fetch(url, {{method: 'PATCH', body: '{{"model": "theirs"}}',
        headers: {{'content-type': 'application/json'}}}});
      await edit('three');
      await new Promise((done) => LocalCar.checkpoint(done));
      await edit('four');
      found.push(await synced());
      console.log(JSON.stringify([found, (await RemoteCar.findById('c1')).model]));
      process.exit(0);
    }})();
    """
    done = subprocess.run(
        ["node", "-e", program],
        cwd=NODE,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )

    assert '[[0,0,1],"theirs"]' == done.stdout.strip().splitlines()[-1], done.stderr


@pytest.mark.parametrize("number", [0, 1])
async def test_the_python_examples_run_against_a_stock_server(
    shared_agent, number, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    name = f"guide-{number}"
    url = shared_agent.server(name, model="Car")
    shared_agent.create(name, data={"id": "theirs"})
    scope = {"__name__": "printed"}
    exec(compile(blocks("python")[number], "LOOPBACK.md", "exec"), scope)

    async with asyncio.timeout(WAIT_S):
        await scope["main"](url)

    if number == 0:
        assert "Ford" == shared_agent.get(name, key="c1")["maker"]
    else:
        assert "1\n" == capsys.readouterr().out


def test_the_printed_settings_are_good(serve, tmp_path):
    config = tmp_path / "synclined.toml"
    config.write_text(blocks("toml")[0])
    server = serve("--config", str(config))

    made = server.post("/Cars", {"id": "c1", "built": "1964-04-17"}).json

    assert {"maker": None, "year": None, "details": None} == {
        name: made[name] for name in ("maker", "year", "details")
    }
    assert "1964-04-17T00:00:00.000Z" == made["built"]
