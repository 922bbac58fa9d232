"""What lies between the service and one of its servers, and is as bad as a test wants it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_COMMIT = b"COMMIT\0"


class Proxy:
    """Passes bytes on, after `delay` seconds on their way back.

    A function put into `before_commit` or `at_commit` is called once, when a client
    commits to PostgreSQL: before that reaches the server, or when the server has done it
    and its answer is there. Then the connection is cut on both sides.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        self.before_commit: Callable[[], None] | None = None
        self.at_commit: Callable[[], None] | None = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]

    def accept(self) -> None:
        # Ends when the listener is shut down.
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                _Link(self, client).start()


class _Link:
    """One connection of a client, with the one to the server that it leads to."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.proxy, self.client = proxy, client
        self.server = socket.create_connection(("127.0.0.1", proxy.target))
        self.at_answer: Callable[[], None] | None = None

    def start(self) -> None:
        for way in (self._there, self._back):
            threading.Thread(target=self._run, args=(way,), daemon=True).start()

    def _run(self, way: Callable[[], None]) -> None:
        # Either side may hang up at any time.
        with suppress(OSError):
            way()
        for each in (self.client, self.server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _there(self) -> None:
        while data := self.client.recv(65536):
            if _COMMIT in data:
                if self.proxy.before_commit is not None:
                    cut, self.proxy.before_commit = self.proxy.before_commit, None
                    cut()
                    return
                self.at_answer, self.proxy.at_commit = self.proxy.at_commit, None
            self.server.sendall(data)

    def _back(self) -> None:
        while data := self.server.recv(65536):
            if self.at_answer is not None:
                self.at_answer()
                return
            if self.proxy.delay:
                time.sleep(self.proxy.delay)
            self.client.sendall(data)


@contextmanager
def running_proxy(target: int) -> Iterator[Proxy]:
    proxy = Proxy(target)
    thread = threading.Thread(target=proxy.accept, daemon=True)
    thread.start()
    yield proxy
    with suppress(OSError):
        proxy.listener.shutdown(socket.SHUT_RDWR)
    proxy.listener.close()
    thread.join(10)
