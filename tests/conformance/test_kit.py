"""The conformance kit: all our adapters pass it, and adapters that are wrong fail it where they are wrong."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from adapters.conformance import Capabilities
from adapters.conformance.checks import __all__ as modules
from adapters.conformance.declared import FAULTS
from adapters.conformance.grid import draw
from adapters.conformance.place import CHECKS
from tests.docs import blocks

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = ROOT / "docs" / "how-to" / "write-an-adapter.md"


def kit(store: str, folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One run of the kit as a third party starts it, in a folder that also holds the sample adapter, `shelf`."""
    sample = next(block.text for block in blocks.parse(HOW_TO.read_text("utf-8")) if block.language == "python")
    (folder / "shelf.py").write_text(sample, "utf-8")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "adapters.conformance"]
    return subprocess.run(
        [*command, "--pyargs", "adapters.conformance", "--store", store, *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def failed(done: subprocess.CompletedProcess[str]) -> set[str]:
    """Names of the checks that failed."""
    return set(re.findall(r"^FAIL (\S+), replay with$", done.stdout, re.MULTILINE))


def cells(names: set[str]) -> set[str]:
    """Their cells, as `role-fault`."""
    return {name.rpartition("-")[0] for name in names}


# Ours


@pytest.mark.parametrize("store", ["memory", "directory", "sqlite", "SqliteVault", "WrappedVault", "SqliteQueue"])
def test_our_adapters_pass(store, tmp_path):
    done = kit(f"tests.conformance.ours:{store}", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " ok " in done.stdout


@pytest.mark.parametrize("store", ["postgres", "PostgresVault", "PostgresQueue"])
def test_our_adapters_pass_on_postgresql(store, postgres, tmp_path):
    done = kit(f"tests.conformance.ours:{store}", tmp_path, CONFORMANCE_POSTGRES=postgres.database())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("store", ["bucket", "bucket_vault"])
def test_our_adapters_pass_on_a_bucket(store, seaweed, tmp_path):
    environment = seaweed.environment | {"CONFORMANCE_BUCKET": seaweed.BUCKET}
    done = kit(f"tests.conformance.ours:{store}", tmp_path, **environment)
    assert done.returncode == 0, done.stdout + done.stderr


# Adapters that are wrong, each by one change to the adapter of the how-to, which passes

WRONG = [
    (
        "nonatomic_swap",
        {"checkpoints-threads", "checkpoints-processes"},
        set(),
        r"(one paused meanwhile|checkpoint at once): [2-8] succeeded, want",
    ),
    (
        "mutable_put",
        {"objects-none", "objects-reopened", "objects-two_handles", "objects-threads", "objects-processes"},
        set(),
        r"put of other bytes at tile/0/000: went through, want Conflict",
    ),
    (
        "lost_durability",
        {f"{role}-{fault}" for role in ("objects", "checkpoints") for fault in ("killed", "processes")},
        {"objects-disk_full", "checkpoints-disk_full"},
        r"get tile/0/x000/000: not found, though put had returned before the process was killed",
    ),
    (
        "stale_after_reopen",
        {"objects-reopened", "checkpoints-reopened", "objects-killed", "checkpoints-killed"},
        {"checkpoints-reply_lost", "objects-disk_full", "checkpoints-disk_full"},
        r"load after 4 swaps, opened again 2 times: got 100 bytes",
    ),
]


@pytest.mark.parametrize("name,must,may,message", WRONG, ids=[name for name, *_ in WRONG])
def test_a_wrong_adapter_fails_where_it_is_wrong(name, must, may, message, tmp_path):
    done = kit(f"tests.conformance.wrong.{name}:Store", tmp_path, "-k", "not log")
    assert done.returncode == 1, done.stdout + done.stderr
    assert must <= cells(failed(done)) <= must | may
    assert re.search(message, done.stdout)


def test_the_printed_command_replays_the_failure(tmp_path):
    store = "tests.conformance.wrong.mutable_put:Store"
    done = kit(store, tmp_path, "--conformance-seed", "7", "-k", "objects-none or objects-reopened")
    assert failed(done) == {"objects-none-written_once", "objects-reopened-all_is_there"}
    assert re.search(r"^objects +FAIL 1/6 +FAIL 1/2 +\?", done.stdout, re.MULTILINE)
    command = re.search(r"^replay: (python -m pytest .*-k objects-none-written_once)$", done.stdout, re.MULTILINE)
    assert command
    assert "--conformance-seed 7" in command[1]
    again = subprocess.run(
        [sys.executable, *command[1].split()[1:]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed(again) == {"objects-none-written_once"}
    assert re.search(r"= 1 failed, \d+ deselected", again.stdout, re.MULTILINE)


# What is declared

MADE_UP = """
import pytest
from adapters.conformance import Capabilities
from ledger.testing import MemoryStore

def nothing(folder): return MemoryStore()

def less(folder): return MemoryStore()
less.capabilities = Capabilities(objects=True, reopens=False, processes=False, fills=False)

def more(folder): return MemoryStore()
more.capabilities = Capabilities(
    objects=True, lists=True, checkpoints=True, transactions=True, reopens=False, processes=False, fills=False
)

class Skips(MemoryStore):
    capabilities = Capabilities(
        objects=True, lists=True, checkpoints=True, reopens=False, processes=False, fills=False
    )
    def __init__(self, folder): super().__init__()
    def list(self, prefix): pytest.skip("no listing here")

class Prints(MemoryStore):
    capabilities = Capabilities(objects=True, lists=True, checkpoints=True, fills=False)
    def __init__(self, folder): super().__init__(); print("not an answer")
"""


@pytest.mark.parametrize(
    "store,complaint",
    [
        ("made_up:nothing", "--store made_up:nothing: declares nothing; want made_up.CAPABILITIES"),
        ("made_up:absent", "--store made_up:absent: made_up has no function or class absent"),
        ("no_such:store", "--store no_such:store: no module no_such here or on the path"),
        ("made_up", "--store made_up: want pkg.mod:factory"),
    ],
)
def test_what_cannot_be_tried_is_said_in_one_line(store, complaint, tmp_path):
    (tmp_path / "made_up.py").write_text(MADE_UP, "utf-8")
    done = kit(store, tmp_path)
    assert done.returncode == 4
    assert complaint in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "store,complaint",
    [
        ("less", "declares lists=False, but MemoryStore does what it takes, and goes unchecked"),
        ("more", "declares transactions=True, but MemoryStore lacks what it takes"),
        ("Skips", r"skipped (no listing here), but declared: deny it in the capabilities, or make it work"),
    ],
)
def test_what_is_not_as_declared_fails(store, complaint, tmp_path):
    (tmp_path / "made_up.py").write_text(MADE_UP, "utf-8")
    done = kit(f"made_up:{store}", tmp_path, "-k", "declared or lists-none")
    assert done.returncode == 1
    assert complaint in done.stdout
    assert "skipped," not in done.stdout.splitlines()[-1]


def test_an_adapter_that_prints_confuses_nobody(tmp_path):
    """Memory shared by nobody: what another process has written is not there."""
    (tmp_path / "made_up.py").write_text(MADE_UP, "utf-8")
    done = kit("made_up:Prints", tmp_path, "-k", "objects-processes or objects-killed-acknowledged")
    assert failed(done) == {
        "objects-killed-acknowledged",
        "objects-processes-one_process_wins",
        "objects-processes-paused_in_a_put",
    }


@pytest.mark.parametrize(
    "arguments",
    [{}, {"transactions": True}, {"lists": True, "vault": True}, {"objects": True, "reopens": False}],
)
def test_what_contradicts_itself_cannot_be_declared(arguments):
    with pytest.raises(ValueError, match="capabilities: "):
        Capabilities(**arguments)


def test_an_undeclared_cell_is_shown_as_such():
    declared = Capabilities(objects=True, reopens=False, processes=False)
    lines = draw(declared, {check.name: True for check in CHECKS})
    objects = next(line for line in lines if line.startswith("objects"))
    assert objects.split() == ["objects", "ok", "-", "-", "ok", "-", "ok", "-", "-"]
    assert {line.split()[0] for line in lines if " ok" in line} == {"objects", "log"}


# The plugin


def test_names_pick_one_check_alone():
    """`-k` looks for a part of a name."""
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert [(a, b) for a, b in itertools.permutations(names, 2) if a in b] == []


def test_every_fault_is_tried_on_a_log():
    assert {check.fault for check in CHECKS if check.role == "log"} == set(FAULTS)
    assert {check.run.__module__.rpartition(".")[2] for check in CHECKS} == set(modules)


def test_nothing_loads_it_by_itself():
    assert not [entry for entry in entry_points(group="pytest11") if entry.value.startswith("adapters")]


def test_what_it_needs_is_said_in_one_line(root):
    program = "import sys; sys.modules['pytest'] = None; import adapters.conformance"
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "ImportError: adapters.conformance needs pytest; pip install pytest"


def test_without_a_store_it_says_what_it_wants(root):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "adapters.conformance", "--pyargs", "adapters.conformance"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "name it with --store pkg.mod:factory" in done.stdout + done.stderr
