"""Old conversations in a new browser, by a link in a mail to the customer's address.

Nothing in the answer, nor its time, tells whether there is anything to restore: the
request leaves a row and a job, which looks, and mails a link where there is something.
"""

import hashlib
import secrets
import smtplib
from collections.abc import Iterable
from datetime import timedelta
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit
from uuid import UUID

from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone

from conversations.events.actors import Actor
from conversations.models import Restore, Ticket, TicketQuerySet
from conversations.tickets.verbs import update_ticket
from conversations.widget import polls
from projects.models import Project, address_key

LIFETIME = timedelta(minutes=60)
# Under this parameter posthog-js looks for the token in the address of its page.
_PARAMETER = "ph_conv_restore"
# So many mails an address gets in an hour, whoever asks for them.
_MOST_MAILS = 3
# How long it is remembered that a token was used, or has expired.
_KEPT = timedelta(days=7)


class MailRefused(Exception):
    """The mail server does not take the mail."""


def request_restore(*, project_id: int, email: str, request_url: str) -> Restore:
    """Notes the wish; whoever calls this enqueues the job that sees to it."""
    return Restore.objects.create(
        project_id=project_id, email=email.lower(), request_url=request_url
    )


def send_link(*, restore_id: UUID) -> None:
    """Mails a link for the wish, if there is something to restore; does nothing the second time.

    A mail that could not be sent leaves a token that nobody knows, and raises.
    """
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        wanted = Restore.objects.filter(pk=restore_id).select_related("project").first()
        if wanted is None:
            return
        # All of the address are locked, so that two jobs can not both send the last mail.
        restores = {restore.pk: restore for restore in _locked(wanted)}
        restore = restores.pop(restore_id, wanted)
        if restore.sent_at is not None or not _may_be_sent(wanted, restores.values()):
            return
        restore.digest = _digest(token)
        restore.save(update_fields=["digest"])
    try:
        _mail(wanted.project, wanted.email, _link(wanted.request_url, token)).send()
    except (smtplib.SMTPException, ValueError) as exc:
        # What refuses a mail quotes its address, which must not get into the log.
        raise MailRefused(f"{type(exc).__name__}, of restore {restore_id}") from None
    Restore.objects.filter(pk=restore_id).update(sent_at=timezone.now())


def _locked(restore: Restore) -> QuerySet[Restore]:
    """All wishes for this address, in an order in which nobody waits for another."""
    same = Restore.objects.filter(project_id=restore.project_id, email=restore.email)
    return same.order_by("pk").select_for_update()


def _may_be_sent(restore: Restore, others: Iterable[Restore]) -> bool:
    if not restore.project.conversations_enabled or not restore.project.widget_restore_enabled:
        return False
    hour_ago = timezone.now() - timedelta(hours=1)
    mails = [other for other in others if other.digest and other.created_at > hour_ago]
    return len(mails) < _MOST_MAILS and _tickets_of(restore).exists()


def _tickets_of(restore: Restore) -> TicketQuerySet:
    tickets = Ticket.objects.in_project(restore.project_id)
    address = address_key(Value(restore.email))
    by_sender = tickets.alias(address=address_key("email_from")).filter(
        email_from__isnull=False, address=address
    )
    by_name = tickets.alias(
        address=address_key(KeyTextTransform("email", "anonymous_traits"))
    ).filter(address=address)
    # A union, since an OR of the two would read every ticket of the project.
    return tickets.filter(pk__in=by_sender.values("pk").union(by_name.values("pk")))


def _mail(project: Project, address: str, link: str) -> EmailMessage:
    # A line break would begin another header.
    name = " ".join(project.name.split())
    return EmailMessage(
        subject=f"Your conversations with {name}",
        body=(
            f"Somebody, most likely you, asked {name} for earlier conversations under this "
            f"address. This link opens them in the browser that follows it:\n\n{link}\n\n"
            "It works once, for an hour. If it was not you, leave it: nothing has happened.\n"
        ),
        to=[address],
    )


def _link(request_url: str, token: str) -> str:
    page = urlsplit(request_url)
    query = [(name, value) for name, value in parse_qsl(page.query, keep_blank_values=True)]
    others = [(name, value) for name, value in query if name != _PARAMETER]
    return page._replace(query=urlencode([*others, (_PARAMETER, token)])).geturl()


def redeem(*, project_id: int, token: str, session_id: UUID) -> tuple[str, list[UUID]]:
    """`success`, `invalid`, `used` or `expired`; and the tickets that now are the session's.

    However many redeem a token at once, one of them does. The address's other tokens
    are used up with it.
    """
    now = timezone.now()
    with transaction.atomic(savepoint=False):
        named = Restore.objects.filter(project_id=project_id, digest=_digest(token)).first()
        if named is None:
            return "invalid", []
        restores = {restore.pk: restore for restore in _locked(named)}
        restore = restores.get(named.pk)
        if restore is None:
            return "invalid", []
        if restore.used_at is not None:
            return "used", []
        if (restore.sent_at or restore.created_at) + LIFETIME <= now:
            return "expired", []
        unused = [other.pk for other in restores.values() if other.digest and not other.used_at]
        Restore.objects.filter(pk__in=unused).update(used_at=now)
        return "success", _hand_over(restore, session_id)


def _hand_over(restore: Restore, session_id: UUID) -> list[UUID]:
    """Gives the tickets to the session alone.

    The address is what their customer said, so whoever has it is not proved to be who has
    the distinct_id: that opens them no more, and they are not verified any longer.
    """
    tickets = list(_tickets_of(restore).order_by("pk").select_for_update())
    for ticket in tickets:
        # It is in other lists until now.
        polls.forget(ticket)
        if ticket.identity_verified:
            actor = Actor.customer(ticket.distinct_id)
            update_ticket(ticket=ticket, actor=actor, identity_verified=False)
        ticket.widget_session_id, ticket.widget_restored = session_id, True
        polls.forget(ticket)
    # update() on purpose: to the team the tickets are the same.
    Ticket.objects.filter(pk__in=[ticket.pk for ticket in tickets]).update(
        widget_session_id=session_id, widget_restored=True
    )
    return [ticket.pk for ticket in tickets]


def forget_addresses(project_id: int, addresses: Iterable[str]) -> None:
    """Removes the wishes of somebody who is erased."""
    emails = {address.lower() for address in addresses}
    Restore.objects.filter(project_id=project_id, email__in=emails).delete()


def prune() -> None:
    """Removes what is older than anybody could still ask about."""
    Restore.objects.filter(created_at__lt=timezone.now() - _KEPT).delete()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


# --- Where a link may lead ---------------------------------------------------


def page_of(request_url: str) -> SplitResult | None:
    """The address of a page, or None for what a browser might read as another one than we do."""
    # A browser takes a backslash for a slash, and leaves out what does not print.
    if any(character <= " " or character in "\\\x7f" for character in request_url):
        return None
    try:
        page = urlsplit(request_url)
        is_plain = (
            page.scheme in ("http", "https") and bool(page.hostname) and "@" not in page.netloc
        )
        _ = page.port
    except ValueError:
        return None
    return page if is_plain else None
