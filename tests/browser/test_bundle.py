"""The one file that a page needs, and the wheel that carries it."""

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parents[2]
GZIPPED_MAX = 60_000


def test_bundle_is_small_and_names_no_machine(bundle):
    code = bundle.read_bytes()

    assert GZIPPED_MAX >= len(gzip.compress(code, 9))
    assert str(ROOT).encode() not in code


def sources(tmp_path):
    """Return a copy of the sources as a clone has them, with the dependencies of the package."""
    pytest.importorskip("hatchling", reason="install hatchling: pip install hatchling")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(
        ".git", "node_modules", "dist", "static", "__pycache__", ".*cache", ".venv", "*-listen"
    )
    # The daemon's pages have a folder of that name too, which is no product.
    shutil.copytree(ROOT, source, ignore=ignored, symlinks=True)
    pages = Path("daemon") / "synclined" / "pages" / "static"
    shutil.copytree(ROOT / pages, source / pages)
    modules = ROOT / "client" / "browser" / "node_modules"
    if modules.is_dir():
        (source / "client" / "browser" / "node_modules").symlink_to(modules)
    return source


def build(source, target, out, env):
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)],
        cwd=source,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def names_in(out):
    """Return what the one archive of a folder holds."""
    (archive,) = out.iterdir()
    if archive.suffix == ".whl":
        return set(zipfile.ZipFile(archive).namelist())
    with tarfile.open(archive) as opened:
        return {name.partition("/")[2] for name in opened.getnames()}


def test_wheel_carries_the_bundle_where_the_daemon_looks_for_it(tmp_path, node):
    done = build(sources(tmp_path), "wheel", tmp_path / "out", {})

    assert 0 == done.returncode, done.stdout + done.stderr
    names = names_in(tmp_path / "out")
    assert "synclined/static/syncline.js" in names
    assert "synclined/pages/static/dashboard.html" in names
    assert not [name for name in names if "node_modules" in name]


def test_sdist_carries_it_and_makes_a_wheel_of_it_where_npm_is_not(tmp_path, node):
    done = build(sources(tmp_path), "sdist", tmp_path / "out", {})
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "daemon/synclined/static/syncline.js" in names_in(tmp_path / "out")

    (archive,) = (tmp_path / "out").iterdir()
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    done = build(unpacked, "wheel", tmp_path / "wheel", {"PATH": str(tmp_path)})

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "synclined/static/syncline.js" in names_in(tmp_path / "wheel")


def test_without_npm_the_wheel_carries_the_bundle_that_was_built_before(tmp_path):
    source = sources(tmp_path)
    built = source / "client" / "browser" / "dist" / "syncline.js"
    built.parent.mkdir()
    built.write_text("built before")

    done = build(source, "wheel", tmp_path / "out", {"PATH": str(tmp_path)})

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "synclined/static/syncline.js" in names_in(tmp_path / "out")
    assert "built before" in done.stdout + done.stderr


def test_without_npm_and_bundle_no_wheel_is_built_unless_one_says_so(tmp_path):
    source = sources(tmp_path)
    without_npm = {"PATH": str(tmp_path), "NO_BROWSER_BUNDLE": ""}

    done = build(source, "wheel", tmp_path / "out", without_npm)

    said = done.stdout + done.stderr
    assert done.returncode
    assert "npm is not installed" in said
    assert "NO_BROWSER_BUNDLE=1" in said
    assert "Traceback" not in said

    done = build(source, "wheel", tmp_path / "told", {**without_npm, "NO_BROWSER_BUNDLE": "1"})

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "synclined/static/syncline.js" not in names_in(tmp_path / "told")
