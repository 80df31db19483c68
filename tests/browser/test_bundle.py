"""The one file that a page needs, and the wheel that carries it."""

import gzip
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parents[2]
GZIPPED_MAX = 60 * 1024


def test_bundle_is_small_and_names_no_machine(bundle):
    code = bundle.read_bytes()

    assert GZIPPED_MAX >= len(gzip.compress(code, 9))
    assert str(ROOT).encode() not in code


def build_wheel(tmp_path, env):
    pytest.importorskip("hatchling", reason="install hatchling: pip install hatchling")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(
        ".git", "node_modules", "dist", "static", "__pycache__", ".*cache"
    )
    shutil.copytree(ROOT, source, ignore=ignored, symlinks=True)
    modules = ROOT / "client" / "browser" / "node_modules"
    if modules.is_dir():
        (source / "client" / "browser" / "node_modules").symlink_to(modules)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "out")],
        cwd=source,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    (wheel,) = (tmp_path / "out").glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist()), done.stdout + done.stderr


def test_wheel_carries_the_bundle_where_the_daemon_looks_for_it(tmp_path, node):
    names, _ = build_wheel(tmp_path, {})

    assert "synclined/static/syncline.js" in names
    assert not [name for name in names if "node_modules" in name]


def test_without_npm_the_wheel_is_built_and_says_what_is_missing(tmp_path):
    names, said = build_wheel(tmp_path, {"PATH": str(tmp_path)})

    assert "synclined/static/syncline.js" not in names
    assert "npm is not installed" in said
