"""Bundle the browser's replica into the wheel and the sdist."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


BUNDLE = "daemon/synclined/static/syncline.js"
"""Where an installed daemon looks for it."""
BUILT = "client/browser/dist/syncline.js"
"""Where `npm run bundle` writes it, and a daemon that runs from a clone looks for it."""
WITHOUT = "NO_BROWSER_BUNDLE"
"""Set in the environment, it allows a build that has no bundle."""
NPM_TIMEOUT_S = 600


class BrowserBundleHook(BuildHookInterface[Any]):
    """
    Makes the bundle before a wheel or an sdist is put together.

    An sdist carries it, so that a wheel is made of that one without npm.
    Where it can't be made, the one that was built before is taken; where there is none either, the
    build ends with what to do, since the daemon's pages would be missing from what it made.
    An editable install runs from the clone, and is left alone.
    """

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's
        """Make the bundle, or take the one that is there, or end the build."""
        bundle, built = Path(self.root) / BUNDLE, Path(self.root) / BUILT
        is_sdist = (Path(self.root) / "PKG-INFO").is_file()
        if version == "editable" or (is_sdist and bundle.is_file()):
            return
        problem = _make(Path(self.root) / "client" / "browser", bundle)
        if not problem:
            return
        if built.is_file():
            bundle.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(built, bundle)
        if bundle.is_file():
            self.app.display_warning(f"the browser bundle is the one built before: {problem}")
        elif os.environ.get(WITHOUT):
            self.app.display_warning(f"no browser bundle: {problem}")
        else:
            self.app.abort(
                f"no browser bundle: {problem}\n"
                "Install Node.js 20 or newer with npm and build again; or, for a daemon without "
                f"pages and without /syncline.js, set {WITHOUT}=1."
            )


def _make(package: Path, bundle: Path) -> str:
    """Make the bundle; return what is in the way, if anything."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    try:
        if not (package / "node_modules").is_dir():
            _run([npm, "ci", "--no-audit", "--no-fund"], package)
        _run([npm, "run", "bundle", "--", f"--outfile={bundle}"], package)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        return str(said).strip()[-2000:]
    return ""


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(  # noqa: S603 - our own command
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=NPM_TIMEOUT_S
    )
