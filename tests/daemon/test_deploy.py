"""The files for whoever runs the daemon say what the code says."""

import configparser
import importlib.machinery
import importlib.util
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from synclined.config import load_settings
from synclined.config_example import example_toml
from synclined.settings import Settings


DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLE = DEPLOY / "synclined.example.toml"
UNIT = DEPLOY / "synclined.service"
ROOT = DEPLOY.parent
ONLY_TESTED_WITH = {"hypothesis", "mypy", "playwright", "pytest", "ruff", "hatchling"}
EXPOSURE_MAX = 2.0

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is missing: install the package systemd",
)


@pytest.fixture
def rendered_unit(tmp_path):
    """The unit with a program that exists, which `verify` asks for."""
    unit = tmp_path / "synclined.service"
    text, count = re.subn(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text())
    assert 1 == count
    unit.write_text(text)
    return unit


@pytest.fixture
def service():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(UNIT.read_text())
    return unit["Service"]


def test_example_is_the_one_that_the_code_makes():
    assert example_toml() == EXAMPLE.read_text(), (
        "write it anew: python -c 'from synclined.config_example import example_toml; "
        'print(example_toml(), end="")\' > deploy/synclined.example.toml'
    )


def test_example_as_it_is_changes_nothing():
    assert Settings() == load_settings(EXAMPLE)


def test_example_with_every_line_taken_in_is_valid_and_says_the_defaults(tmp_path):
    text = re.sub(r"(?m)^#(?=[a-z\[])", "", EXAMPLE.read_text())
    path = tmp_path / "synclined.toml"
    path.write_text(text)

    settings = load_settings(path)

    assert ["task"] == [model.name for model in settings.models]
    assert ["phone"] == [token.name for token in settings.tokens]
    assert Settings(models=settings.models, tokens=settings.tokens) == settings


@needs_systemd_analyze
def test_systemd_finds_nothing_wrong_with_the_unit(rendered_unit):
    verified = subprocess.run(
        ["systemd-analyze", "verify", rendered_unit],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (0, "") == (verified.returncode, verified.stderr)


@needs_systemd_analyze
def test_unit_exposes_little(rendered_unit):
    scored = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", rendered_unit],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "unrecognized option" in scored.stderr:
        pytest.skip("systemd-analyze can't score a file: install systemd 250 or newer")

    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", scored.stdout)
    assert exposure is not None, scored.stderr
    assert float(exposure[1]) <= EXPOSURE_MAX


def test_unit_waits_for_the_drain(service):
    assert float(service["TimeoutStopSec"]) > Settings().timings.drain_timeout_s


def test_unit_allows_the_connections_that_the_settings_allow(service):
    assert int(service["LimitNOFILE"]) > Settings().limits.connections_max


def test_unit_is_told_when_the_daemon_is_ready_and_alive(service):
    assert "notify" == service["Type"]
    assert int(service["WatchdogSec"]) > 0
    assert "on-failure" == service["Restart"]
    assert "yes" == service["DynamicUser"]


def test_readme_names_the_files_that_are_there():
    readme = (DEPLOY / "README.md").read_text()

    assert {UNIT.name, EXAMPLE.name} <= set(re.findall(r"`([\w.]+)`", readme))


@pytest.fixture
def runner():
    """`deploy/run` as a module."""
    loader = importlib.machinery.SourceFileLoader("deploy_run", str(DEPLOY / "run"))
    spec = importlib.util.spec_from_loader("deploy_run", loader)
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = writes
    return module


def test_demo_installs_nothing_that_only_the_tests_need(runner):
    asked = {re.match(r"[\w-]+", need)[0] for need in runner.read_project()["dependencies"]}

    assert "aiohttp" in asked
    assert not ONLY_TESTED_WITH & asked


def test_environment_of_the_demo_finds_the_sources_by_name_and_version(
    runner, tmp_path, monkeypatch
):
    folder = tmp_path / "env"
    venv.create(folder)
    python = folder / "bin" / "python"
    monkeypatch.setattr(runner, "VENV", folder)
    monkeypatch.setattr(runner, "PYTHON", python)

    runner.register(runner.read_project())

    look = (
        "import importlib.metadata as m, importlib.util as u; d = m.distribution('syncline');"
        "print(d.version, all(f.locate().exists() for f in d.files),"
        " u.find_spec('syncline').origin, u.find_spec('synclined').origin)"
    )
    done = subprocess.run(
        [python, "-I", "-c", look], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    origins = (ROOT / "client/syncline/__init__.py", ROOT / "daemon/synclined/__init__.py")
    assert f"0.1.0 True {origins[0]} {origins[1]}" == done.stdout.strip()
    assert (folder / "bin" / "syncline").stat().st_mode & 0o111
