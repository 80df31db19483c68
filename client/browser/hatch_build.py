"""Bundle the browser's replica into the wheel, where `npm` is at hand."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


BUNDLE = "daemon/synclined/static/syncline.js"
"""Where the daemon looks for it: `importlib.resources.files("synclined") / "static"`."""
NPM_TIMEOUT_S = 600


class BrowserBundleHook(BuildHookInterface[Any]):
    """
    Makes the bundle before a wheel or an sdist is put together.

    Without `npm` the build goes on, with the bundle of an sdist if there is one; the daemon then
    says what is missing when a page asks for it.
    An editable install fetches nothing: it bundles when the dependencies are installed already.
    """

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's
        """Make the bundle, or say why there is none."""
        package = Path(self.root) / "client" / "browser"
        bundle = Path(self.root) / BUNDLE
        is_installed = (package / "node_modules").is_dir()
        if version == "editable" and not is_installed:
            self.app.display_info(
                "no browser bundle: npm ci --prefix client/browser, then install again"
            )
            return
        npm = shutil.which("npm")
        if npm is None:
            if not bundle.exists():
                self.app.display_warning(
                    "no browser bundle: npm is not installed, so the daemon can't serve "
                    "/syncline.js; install Node 20 or newer and build again"
                )
            return
        try:
            if not is_installed:
                _run([npm, "ci", "--no-audit", "--no-fund"], package)
            _run([npm, "run", "bundle", "--", f"--outfile={bundle}"], package)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            self.app.display_warning(f"no browser bundle: {said.strip()[-2000:]}")


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(  # noqa: S603 - our own command
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=NPM_TIMEOUT_S
    )
