"""Background jobs of the widget; see `conversations.jobs`."""

from uuid import UUID

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from conversations.widget import restores


@app.task(name="send_restore_link", retry=RetryStrategy(max_attempts=5, exponential_wait=5))
def send_restore_link(restore_id: str) -> None:
    """The job knows an id and nothing else: neither address nor link gets into its log."""
    restores.send_link(restore_id=UUID(restore_id))
