"""Environments of a benchmark: packages that are no part of this project's requirements."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def package_environment(
    folder: Path, name: str, packages: Sequence[str], options: Sequence[str] = ()
) -> Path:
    """Return the Python of the environment `name`, made where these packages are not there yet."""
    environment = folder / name
    python = environment / "bin" / "python"
    ready = environment / "ready"
    wanted = "\n".join([*packages, *options])
    if ready.exists() and ready.read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *options, *packages], check=True)
    ready.write_text(wanted)
    return python


def site_packages(python: Path) -> Path:
    """Return the folder in which the packages of an environment's Python lie."""
    return next((python.parents[1] / "lib").glob("python3*/site-packages"))
