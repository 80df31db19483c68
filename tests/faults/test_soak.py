"""The soak ends level, and goes red when something was lost or grew."""

import importlib.util
import sys
from pathlib import Path

import pytest


PATH = Path(__file__).parent.parent / "bench" / "soak.py"
SECONDS = 8


@pytest.fixture(scope="module")
def soak():
    sys.path.insert(0, str(PATH.parent))
    spec = importlib.util.spec_from_file_location("soak", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module
    spec.loader.exec_module(module)
    return module


async def test_a_short_soak_ends_level(soak, tmp_path):
    run = soak.Soak(tmp_path, SECONDS, 3)
    wrong = [sentence for sentence in await run.run() if " grew " not in sentence]

    assert [] == wrong
    assert run.writes > 0
    assert {"daemon", "client-0", "client-1", "client-2"} == set(run.samples)


async def test_a_record_that_a_client_lost_is_found(soak, tmp_path):
    wrong = await soak.Soak(tmp_path, 2, 4, plant="lose").run()

    assert any("client-1.db: ('shared'" in sentence for sentence in wrong)


@pytest.mark.parametrize(("a_minute", "is_red"), [(0, False), (300, False), (5000, True)])
def test_memory_that_grows_is_found(soak, tmp_path, a_minute, is_red):
    run = soak.Soak(tmp_path, 120, 0)
    run.samples["daemon"] = [(t, 60_000 + a_minute * t / 60) for t in range(120)]

    assert is_red is any("daemon grew" in sentence for sentence in run._growths())


def test_a_slope_is_that_of_the_line(soak):
    grown = soak.growth("daemon", [(t, 7 + 2.5 * t) for t in range(1000)])

    assert pytest.approx(150, rel=0.01) == grown.kib_a_minute


def test_a_leak_in_steps_is_a_slope(soak):
    grown = soak.growth("daemon", [(t, t // 60 * 300) for t in range(960)])

    assert pytest.approx(300, rel=0.01) == grown.kib_a_minute


def test_a_single_step_is_no_slope(soak):
    grown = soak.growth("daemon", [(t, 300 * (t > 50)) for t in range(100)])

    assert (0, 0, 300) == (grown.kib_a_minute, grown.start_kib, grown.end_kib)


def test_the_curve_names_all_and_shows_what_was_counted(soak, tmp_path):
    run = soak.Soak(tmp_path, 120, 0)
    run.samples["daemon"] = [(t, 60_000) for t in range(120)]
    run.samples["a < b"] = [(t, 70_000 + t) for t in range(120)]
    picture = run.picture()

    assert "daemon  +0.0 KiB/min" in picture
    assert "a &lt; b  +60.0 KiB/min" in picture
    assert "a bad network; counted" in picture


def test_the_curve_of_nothing_is_a_picture_too(soak, tmp_path):
    assert soak.Soak(tmp_path, 120, 0).picture().endswith("</svg>")
