"""The network is out of reach, in the tests and in the processes they start; this machine is not."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

# TEST-NET-1 (RFC 5737): nobody answers there, so a guard that failed would show as a time-out
ELSEWHERE = ("192.0.2.1", 443)


def test_a_test_reaches_nobody_else():
    with pytest.warns(UserWarning, match=r"192\.0\.2\.1"), pytest.raises(RuntimeError, match=r"192\.0\.2\.1"):
        socket.create_connection(ELSEWHERE, timeout=1)


def test_a_test_reaches_itself():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5):
        pass


def test_a_process_started_by_a_test_reaches_nobody_else():
    program = f"import socket; socket.create_connection({ELSEWHERE!r}, timeout=1)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RuntimeError: a process started by a test tried to reach 192.0.2.1" in done.stderr
