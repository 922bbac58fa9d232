"""Forms that are done once, however often they are sent.

Those whose answer shows a secret: such an answer is no redirect, since the secret would have to be
kept for the page that it leads to, so that a reload sends the form again. And those that send a
message: who does not hear that it was sent sends it again.
"""

import hashlib
from uuid import uuid4

from projects.models import User
from rest.exceptions import Conflict, invalid
from rest.fields import UUID_FORM
from rest.models import StoredAnswer


class SentBefore(Conflict):
    default_detail = (
        "This form was sent before, and was done then. Its secret is not shown again: "
        "if it is lost, make another."
    )


def new_form() -> str:
    """What a form is known by."""
    return str(uuid4())


def first_time(form: str, agent: User, *, content: str = "") -> None:
    """Notes that this form is done, for a day, within the transaction that does it.

    A form whose `content` differs is another. Where the API stores an answer for a request that is
    repeated, here is none: the secret is kept nowhere. Raises SentBefore, and ValidationError for
    what is no form of ours.
    """
    if not UUID_FORM.fullmatch(form):
        raise invalid("non_field_errors", "The form is incomplete. Load the page again.")
    digest = hashlib.sha256(f"form:{agent.pk}\0{form}\0{content}".encode()).hexdigest()
    _, is_new = StoredAnswer.objects.get_or_create(
        digest=digest, defaults={"fingerprint": digest, "status": 200, "body": b""}
    )
    if not is_new:
        raise SentBefore()
