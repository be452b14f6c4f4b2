"""A PostgreSQL with two databases and an S3 server, gone with the page."""

import atexit
import contextlib
import os
import sys
import tempfile
from pathlib import Path

import adapters

sys.path.insert(0, str(Path(adapters.__file__).parents[1]))  # others install packages named `tests`, too

from tests.servers import postgres_server, s3_server

_servers = contextlib.ExitStack()
atexit.register(_servers.close)
_postgres = _servers.enter_context(postgres_server(_servers.enter_context(tempfile.TemporaryDirectory())))
_s3 = _servers.enter_context(s3_server(_servers.enter_context(tempfile.TemporaryDirectory())))
os.environ |= _s3.environment
DATABASE, url_of_another_database, BUCKET = _postgres.database(), _postgres.database(), _s3.url()
KEYS = {name: f"file:big.keys/{name}" for name in ("log", "market", "claim")}
