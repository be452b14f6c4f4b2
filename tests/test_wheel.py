"""What is shipped: exactly three packages, typed, and the README runs on them."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.docs import test_code_blocks as docs

PACKAGES = ["adapters", "ledger", "provenance"]


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> Path:
    """The wheel, built once, with the backend that is installed already."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(root)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The interpreter of an environment that holds the wheel, borrows what it depends on, and cannot see this tree."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    done = subprocess.run([*pip, str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # A path that a .pth file names is searched for packages, but its own .pth files are not read: the link to the
    # source tree stays behind.
    (target,) = folder.glob("lib/python*/site-packages")
    (target / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return python


def test_wheel_holds_exactly_the_three_packages(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = sorted({name.split("/")[0] for name in names})
    assert tops[:-1] == PACKAGES
    assert tops[-1].endswith(".dist-info")


def test_wheel_holds_every_file_of_the_packages(wheel, root):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.split("/")[0] in PACKAGES}
    assert names == {
        path.relative_to(root).as_posix()
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_what_is_installed_is_the_wheel(installed, tmp_path):
    program = "import adapters, ledger, provenance\nfor p in adapters, ledger, provenance: print(p.__file__)"
    done = subprocess.run([installed, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(Path(line).is_relative_to(installed.parent.parent) for line in done.stdout.splitlines())


def test_installed_command_starts(installed, tmp_path):
    done = subprocess.run(
        [installed.with_name("provenance"), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "verify" in done.stdout


def test_readme_runs_from_the_wheel(installed, root, tmp_path):
    done = docs.run(root / "README.md", tmp_path, str(installed))
    assert done.returncode == 0, done.stdout + done.stderr
