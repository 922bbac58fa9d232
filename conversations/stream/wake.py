"""Tells the stream processes that something happened in a project.

A hint and no more: it says to look, not what there is to see. One that is lost costs a
few seconds, until the streams look by themselves.
"""

from rest import leases


def channel() -> str:
    """The one channel in Redis; its messages are ids of projects."""
    return leases.full_key("happened")


def at_commit(project_id: int) -> None:
    leases.publish_at_commit(channel(), str(project_id))
