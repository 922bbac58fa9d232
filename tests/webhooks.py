"""A receiver of webhooks on loopback, and the sender without a worker around it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.utils import timezone
from standardwebhooks import Webhook as Verifier

from conversations.models import Delivery, Webhook
from conversations.webhooks.sender import send_what_is_due
from tests.api import ApiClient

Answer = Callable[[Any], object]


def answering(*statuses: int, body: bytes = b"", **headers: str) -> Answer:
    """Answers each request with the next status, and those after with the last."""
    remaining = list(statuses)

    def answer(handler: Any) -> None:
        status = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def answering_after(seconds: float) -> Answer:
    """204, so late."""

    def answer(handler: Any) -> None:
        time.sleep(seconds)
        answering(204)(handler)

    return answer


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The body, as the official package reads it; raises where it does not verify."""
        return Verifier(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    url: str
    answer: Answer
    received: list[Received] = field(default_factory=list)
    under_way: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.received]


@contextmanager
def running_receiver(answer: Answer | None = None) -> Iterator[Receiver]:
    """An HTTP server in threads that keeps what it gets, and answers 204 unless told otherwise."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with receiver.lock:
                receiver.received.append(Received(self.path, headers, body))
                receiver.under_way += 1
                receiver.most_at_once = max(receiver.most_at_once, receiver.under_way)
            try:
                receiver.answer(self)
            except OSError:
                # The sender has had enough.
                pass
            finally:
                with receiver.lock:
                    receiver.under_way -= 1

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook", answer or answering(204))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.socket.close()
        thread.join()


def webhooks_url_of(project: Any) -> str:
    return f"/api/projects/{project.pk}/webhooks"


def subscribe(api: ApiClient, project: Any, url: str, **fields: Any) -> Any:
    response = api.post(webhooks_url_of(project), {"url": url, **fields})
    assert response.status_code == 201, response.content
    return response.json()


def deliveries_of(api: ApiClient, project: Any, webhook: Any, **query: Any) -> list[Any]:
    url = f"{webhooks_url_of(project)}/{webhook['id']}/deliveries"
    response = api.get(url, **query)
    assert response.status_code == 200, response.content
    results: list[Any] = response.json()["results"]
    return results


def send() -> None:
    """Makes every attempt that is due."""
    asyncio.run(send_what_is_due())


def let_it_be_time(webhook: Any) -> None:
    """As if the next attempt's time had come."""
    Delivery.objects.filter(webhook=webhook["id"], status="pending").update(
        next_attempt_at=timezone.now()
    )


def let_it_have_failed_for(webhook: Any, time: timedelta) -> None:
    Webhook.objects.filter(pk=webhook["id"]).update(failing_since=timezone.now() - time)
