"""The files for whoever runs the daemon say what the code says."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from synclined.config import load_settings
from synclined.config_example import example_toml
from synclined.settings import Settings


DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLE = DEPLOY / "synclined.example.toml"
UNIT = DEPLOY / "synclined.service"
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
