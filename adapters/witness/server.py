"""The HTTP server of a witness (c2sp.org/tlog-witness): one thread for each connection, which is kept.

::

    POST PREFIX/add-checkpoint · POST PREFIX/sign-subtree · GET PREFIX/HEX/checkpoint

Made to stand behind a web server that speaks TLS. It bounds what it takes from anybody: connections at once, bytes of a
request, and seconds for the whole of one.
"""

from __future__ import annotations

import io
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from adapters.exchange import TimedReader
from ledger.errors import LedgerError
from ledger.evidence import Evidence
from ledger.note import shown
from ledger.witness import MAX_REQUEST, Answer, Witness

__all__ = ["CONNECTIONS", "PATIENCE", "WitnessServer"]

CONNECTIONS = 128
"""Connections at once. More are closed at once, without an answer."""

PATIENCE = 60.0
"""Seconds from one answer until the next request has to be there, whole; and seconds for taking an answer."""

logger = logging.getLogger(__name__)


class WitnessServer:
    """Serves `witness` from `start` to `stop`."""

    def __init__(
        self,
        witness: Witness,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        prefix: str = "",
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.time,
        keep: Callable[[Evidence], object] | None = None,
    ) -> None:
        """Listens at once; port 0 takes a free one. `prefix` stands before every path, `/w` for `/w/add-checkpoint`.

        `patience` as `PATIENCE`; `clock` gives seconds since 1970. `keep` is given the evidence where a log has signed
        two histories, and returns where it lies. Raises `OSError` where it cannot listen.
        """
        self._host = host
        self._server = _Server(witness, (host, port), prefix.rstrip("/"), patience, clock)
        self._server.keep = keep
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="witness", daemon=True)

    @property
    def url(self) -> str:
        """Where it answers, for clients on this machine."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.server_address[1]}{self._server.prefix}"

    def start(self) -> WitnessServer:
        """Begin to answer, in threads of its own."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Take no more requests, answer those that are here, and end. Safe to call twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.hang_up()
        self._server.server_close()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = False  # an answer under way is waited for
    request_queue_size = 128
    keep: Callable[[Evidence], object] | None = None

    def __init__(
        self, witness: Witness, address: tuple[str, int], prefix: str, patience: float, clock: Callable[[], float]
    ) -> None:
        self.witness = witness
        self.prefix = prefix
        self.patience = patience
        self.clock = clock
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            full = len(self._connections) >= CONNECTIONS
            if not full:
                self._connections.add(request)
        if full:
            logger.warning("%s: closed: %d connections are open already", client_address[0], CONNECTIONS)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        # Every connection ends here, also one for which no thread could be started.
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Let no connection send any more: who waits for a request ends, who answers one ends after that."""
        with self._lock:
            for each in self._connections:
                try:
                    each.shutdown(socket.SHUT_RD)
                except OSError:
                    continue  # the other side was faster

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as in the base class
        error = sys.exception()
        if isinstance(error, OSError):
            logger.info("%s: gone: %s", client_address[0], error)
        else:
            logger.error("%s: a request failed", client_address[0], exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._reading = TimedReader(self.connection, time.monotonic() + self.server.patience)
        self.rfile = io.BufferedReader(self._reading)

    def do_POST(self) -> None:
        act = {"/add-checkpoint": self._add_checkpoint, "/sign-subtree": self.server.witness.sign_subtree}
        below = self._below()
        if below not in act:
            self._refuse(404, "no such path here")
            return
        length, *others = self.headers.get_all("Content-Length", [""])
        if not (length.isascii() and length.isdigit()) or others or "Transfer-Encoding" in self.headers:
            # Two lengths, or two kinds of length, are read in another way by the server in front.
            self._refuse(411, "want one Content-Length, and no Transfer-Encoding")
            return
        if len(length) > 9 or int(length) > MAX_REQUEST:
            self._refuse(413, f"a request of {length[:20]} bytes, want at most {MAX_REQUEST}")
            return
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            self.close_connection = True  # gone, or we are: there is nobody to answer
            return
        self._answer(act[below], body)

    def do_GET(self) -> None:
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # what follows would be read as another request
        name, _, rest = self._below().removeprefix("/").partition("/")
        if rest != "checkpoint":
            self._refuse(404, "no such path here")
            return
        self._answer(self.server.witness.checkpoint, name)

    def _add_checkpoint(self, body: bytes) -> Answer:
        return self.server.witness.add_checkpoint(body, time=int(self.server.clock()))

    def _below(self) -> str:
        prefix = self.server.prefix
        return self.path.removeprefix(prefix) if self.path.startswith(f"{prefix}/") else ""

    def _answer(self, act: Callable[[Any], Answer], given: object) -> None:
        try:
            answer = act(given)
        except LedgerError as error:
            logger.error("%s", error)  # noqa: TRY400 - what it says is all there is to it
            self._refuse(503, "cannot remember now, so nothing was signed; ask again later")
            return
        if answer.evidence is not None:
            self._keep(answer.evidence)
        self._send(answer)

    def _keep(self, evidence: Evidence) -> None:
        """What convicts a log; that it cannot be written changes no answer."""
        origin, where = shown(evidence.origin, 200), ""
        try:
            if self.server.keep is not None:
                where = f"; the evidence is in {self.server.keep(evidence)}: pass it on"
        except LedgerError as error:
            where = f"; the evidence could not be kept: {error}"
        logger.error("%s: has signed two histories%s", origin, where)

    def _refuse(self, status: int, why: str) -> None:
        """Answer, and end the connection: what else was sent is not read."""
        self.close_connection = True
        self._send(Answer(status, f"{why}\n".encode()))

    def _send(self, answer: Answer) -> None:
        if answer.status >= 400:
            why = shown(answer.body.decode("utf-8", "replace").strip(), 300)
            line = shown(self.requestline, 200)
            logger.warning("%s %s: %d %s", self.client_address[0], line, answer.status, why)
        self.connection.settimeout(self.server.patience)
        head = (
            f"HTTP/1.1 {answer.status} {self.responses.get(answer.status, ('',))[0]}\r\n"
            f"Date: {self.date_time_string()}\r\nContent-Type: {answer.type}\r\nContent-Length: {len(answer.body)}\r\n"
            f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        )
        ends = "Connection: close\r\n" if self.close_connection else ""
        self.wfile.write(f"{head}{ends}\r\n".encode() + answer.body)
        self._reading.until = time.monotonic() + self.server.patience

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the base class refuses: no page, a line as everything else."""
        self._refuse(code, message or self.responses.get(code, ("refused",))[0])

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002 - as in the base class
        """What the base class has to say, which is that a client was too slow."""
        logger.info("%s: %s", self.client_address[0], shown(format % values, 200))
