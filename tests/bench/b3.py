"""B3, the bundle: what a page loads, gzipped as a server would; kilobytes."""

import gzip
import shutil
import subprocess
from pathlib import Path
from typing import Any

from processes import BenchFailed
from report import Result


PACKAGE = Path(__file__).resolve().parents[2] / "client" / "browser"
KB = 1000
TARGET_KB = 60


def measure(options: Any) -> list[Result]:
    if shutil.which("npm") is None:
        raise BenchFailed("install npm: apt install nodejs npm")
    path = options.folder / "syncline.js"
    command = ["npm", "run", "--silent", "bundle", "--", f"--outfile={path}", "--log-level=error"]
    subprocess.run(command, cwd=PACKAGE, check=True)
    code = path.read_bytes()
    zipped = len(gzip.compress(code, 9))
    return [
        Result(
            measure="B3",
            label="bundle, gzipped",
            unit="kB",
            figure=zipped / KB,
            target=TARGET_KB,
            is_absolute=True,
        ),
        Result(measure="B3", label="bundle, minified", unit="kB", figure=len(code) / KB),
    ]
