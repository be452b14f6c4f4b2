"""Keeps every Python that a test starts on this machine, as pytest-socket does inside the tests.

Python imports a module of this name at start; tests/conftest.py puts the folder on the children's path.
"""

from __future__ import annotations

import sys

_GUARDED = {"socket.connect", "socket.sendto", "socket.sendmsg"}


def _stay_here(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _GUARDED or not isinstance(address := arguments[1], tuple):
        return
    host = str(address[0])
    if not host.startswith("127.") and host not in {"::1", "localhost"}:
        msg = f"a process started by a test tried to reach {host}: only this machine is allowed"
        raise RuntimeError(msg)


sys.addaudithook(_stay_here)
