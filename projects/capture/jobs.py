"""Background jobs of what posthog-js sends; see `conversations.jobs`."""

from uuid import UUID

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from projects.persons import claims

# Anybody can leave as many as they like, so whatever else waits goes first.
_LAST = -20
_WHEN_IDLE = -10


@app.task(
    name="hear_claims", priority=_LAST, retry=RetryStrategy(max_attempts=5, exponential_wait=5)
)
def hear_claims(pending_id: str) -> None:
    """The job knows an id and nothing else: what is claimed, and of whom, gets into no log."""
    claims.hear_noted(UUID(pending_id))


@app.periodic(cron="33 * * * *")
@app.task(name="prune_claims", queueing_lock="prune_claims", priority=_WHEN_IDLE)
def prune_claims(timestamp: int) -> None:
    """Removes the claims that have waited too long."""
    claims.prune()
