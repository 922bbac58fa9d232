"""One ticket: what was said, what is known of the customer, and what an agent does about it."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django_htmx.http import trigger_client_event
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError

from conversations.inbox.conversation.activity import activity
from conversations.inbox.conversation.changes import asked_for, check_reply
from conversations.inbox.conversation.macros import does
from conversations.inbox.conversation.snoozes import snoozes
from conversations.inbox.conversation.thread import (
    Meanwhile,
    earlier,
    latest,
    meanwhile,
    version_of,
)
from conversations.inbox.once import SentBefore, first_time, new_form
from conversations.inbox.page import InboxPage, failures
from conversations.inbox.people import (
    Assignable,
    assignable,
    assigned_to,
    assignee_name,
    customer_name,
)
from conversations.inbox.queue.rows import rows_of
from conversations.macros.serializers import check_tags, stored_actions
from conversations.macros.verbs import apply_macro
from conversations.messages.serializers import MessageChangesSerializer, ReplySerializer
from conversations.messages.verbs import delete_message, edit_message, post_message
from conversations.messages.views import find_message
from conversations.models import AuthorType, Macro, Message, Priority, Status, Ticket
from conversations.sla import Unit
from conversations.tickets import verbs
from conversations.tickets.filters import sla_state
from conversations.tickets.finding import find_ticket
from conversations.tickets.serializers import TicketSerializer, load_persons
from rest.exceptions import invalid
from rest.fields import QueryInteger, QueryParameters
from rest.transactions import committed

OTHER_TICKETS = 10
MAX_MACROS = 200
# What the column of a message's place holds.
MAX_PLACE = 2**31 - 1


# What a notice says was not done.
REFUSALS = ("send", "resolve")


class ChangedMeanwhile(Exception):
    """Somebody has changed the ticket since the page was made; nothing was done."""


class AnsweredMeanwhile(Exception):
    """Somebody has written since the page was made; nothing was sent."""

    def __init__(self, meanwhile: Meanwhile) -> None:
        super().__init__(meanwhile)
        self.meanwhile = meanwhile


class EditedMeanwhile(Exception):
    """Somebody has edited the message since the page was made; nothing was done."""


class MessageGone(Exception):
    """Somebody has deleted the message since the page was made."""


class TicketPage(InboxPage):
    """What the page of a ticket and everything that is done there have in common."""

    number: int

    def answer(self, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.number = kwargs["number"]
        response: HttpResponseBase = super().answer(*args, **kwargs)
        return response

    @property
    def address(self) -> str:
        return reverse("inbox-conversation", args=[self.project_id, self.number])

    def page_of_form(self) -> str:
        return self.address

    @property
    def since(self) -> int | None:
        """Where the page begins, if it says so: it is shown again from there."""
        form, query = self.request.POST, self.request.GET
        return _whole_number(form.get("since") or query.get("since"))

    def find(self, *, lock: bool = False) -> Ticket:
        return find_ticket(self.project_id, str(self.number), lock=lock)

    def refuse_if_answered(self, ticket: Ticket) -> None:
        """Raises AnsweredMeanwhile where there is more than the page that was sent has shown."""
        places = [_whole_number(place) or 0 for place in self.request.POST.getlist("seen")]
        if news := meanwhile(ticket, max(places, default=0)):
            raise AnsweredMeanwhile(news)

    def show_parts(self, ticket: Ticket, *, status: int = 200, **further: Any) -> HttpResponse:
        """The page anew: as a whole, or to htmx those parts of it that may have changed."""
        whole = not self.htmx or self.htmx.history_restore_request
        template = "inbox/conversation/page.html" if whole else "inbox/conversation/parts.html"
        return self.show(template, self.context(ticket) | further, status=status)

    def context(self, ticket: Ticket) -> dict[str, Any]:
        load_persons(self.project_id, [ticket])
        among, now = assignable(self.project_id), timezone.localtime()
        others, has_more = self._other_tickets(ticket)
        return {
            "ticket": ticket,
            "address": self.address,
            "customer": customer_name(ticket),
            "thread": latest(ticket, since=self.since),
            "activity": activity(self.project_id, ticket.pk, among),
            "others": rows_of(others, among, now),
            "all_of_theirs": self._all_of_theirs(ticket) if has_more else None,
            "among": among,
            "assigned": assigned_to(ticket),
            "assignee": assignee_name(ticket, among),
            "sla": None if ticket.is_resolved else sla_state(ticket.sla_due_at, now),
            "snoozes": snoozes(now),
            "statuses": Status.choices,
            "priorities": Priority.choices,
            "units": Unit.choices,
            # Only the page as a whole shows them.
            "macros": SimpleLazyObject(lambda: self._macros(among)),
            "seen": ticket.last_seq,
            "form_key": new_form(),
            "queue": reverse("inbox-queue", args=[self.project_id]),
        }

    def _macros(self, among: list[Assignable]) -> list[tuple[Macro, str]]:
        """Each with what it does besides answering."""
        macros = Macro.objects.filter(project_id=self.project_id).order_by("name", "pk")
        return [(macro, does(macro, among)) for macro in macros[:MAX_MACROS]]

    def _other_tickets(self, ticket: Ticket) -> tuple[list[Ticket], bool]:
        tickets = Ticket.objects.in_project(self.project_id).exclude(pk=ticket.pk)
        theirs = tickets.filter(distinct_id__in=_names_of(ticket)).order_by("-updated_at", "-pk")
        found = list(theirs.with_assignee()[: OTHER_TICKETS + 1])
        for other in found:
            other.person, other.person_found_by = ticket.person, (other.distinct_id, None)
        return found[:OTHER_TICKETS], len(found) > OTHER_TICKETS

    def _all_of_theirs(self, ticket: Ticket) -> str:
        names = ",".join(name for name in _names_of(ticket)[:100] if "," not in name)
        path = reverse("inbox-queue", args=[self.project_id])
        return f"{path}?{urlencode({'distinct_ids': names})}"


def _names_of(ticket: Ticket) -> list[str]:
    names: list[str] = ticket.person["distinct_ids"] if ticket.person else []
    return names if ticket.distinct_id in names else [*names, ticket.distinct_id]


def _whole_number(text: str | None) -> int | None:
    """None for what is no place in a conversation."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None


class PlacesQuery(QueryParameters):
    """Where a part of the page begins or ends, and what it has said was refused."""

    since = QueryInteger(required=False, min_value=0, max_value=MAX_PLACE)
    before = QueryInteger(required=False, min_value=0, max_value=MAX_PLACE)
    seen = QueryInteger(required=False, min_value=0, max_value=MAX_PLACE)
    activity_before = QueryInteger(required=False, min_value=0)
    refused = serializers.ChoiceField(choices=REFUSALS, required=False)


class ConversationPage(TicketPage):
    query_class = PlacesQuery

    def get(self, request: HttpRequest, project_id: int, number: int) -> HttpResponse:
        ticket = self.find()
        before = self.query.get("before")
        if self.htmx and before is not None:
            context = {"thread": earlier(ticket, before=before), "address": self.address}
            context |= {"ticket": ticket, "customer": ""}
            return self.show("inbox/conversation/earlier.html", context)
        position = self.query.get("activity_before")
        if self.htmx and position is not None:
            before_that = activity(project_id, ticket.pk, assignable(project_id), before=position)
            context = {"activity": before_that, "address": self.address}
            return self.show("inbox/conversation/happenings.html", context)
        seen, refused = self.query.get("seen"), self.query.get("refused")
        return self.show_parts(
            ticket,
            meanwhile=None if seen is None else meanwhile(ticket, seen),
            is_refused=refused,
            is_refresh=True,
        )


class ReplyPage(TicketPage):
    """An answer to the customer, a note among the team, or a macro."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, project_id: int, number: int) -> HttpResponse:
        try:
            committed(self._reply)
        except SentBefore:
            # Whoever sends it again has not heard that it was sent.
            pass
        except AnsweredMeanwhile as exc:
            return self._not_sent(409, meanwhile=exc.meanwhile, is_refused="send")
        except ValidationError as exc:
            return self._not_sent(400, composer_errors=failures(exc))
        if not self.htmx:
            return redirect(self.address)
        response = self.show_parts(self.find(), is_sent=True)
        return trigger_client_event(response, "inbox:sent", {})

    def _not_sent(self, status: int, **why: Any) -> HttpResponse:
        form = self.request.POST
        written = {name: form.get(name, "") for name in ("message", "macro", "kind", "seen")}
        why["form_key"] = form.get("form", "")
        seen = _whole_number(written["seen"])
        if seen is not None:
            # What is not seen yet stays so: the notice says what it is.
            why["seen"] = seen
        return self.show_parts(self.find(), status=status, written=written, **why)

    def _reply(self) -> None:
        form = self.request.POST
        check_reply(form)
        ticket = self.find(lock=True)
        content = "\0".join(form.get(name, "") for name in ("kind", "macro", "then", "message"))
        first_time(form.get("form", ""), self.agent, content=f"{ticket.pk}\0{content}")
        self.refuse_if_answered(ticket)
        self._say(ticket, form.get("message", ""), is_note=form.get("kind") == "note")
        if form.get("then") == Status.RESOLVED:
            verbs.update_ticket(ticket=ticket, actor=self.actor, status=Status.RESOLVED)

    def _say(self, ticket: Ticket, text: str, *, is_note: bool) -> None:
        macro = None if is_note else self._macro(self.request.POST.get("macro", ""))
        text = text.replace("\r\n", "\n")
        # With a script the macro's text has stood in the box, and was taken out of it.
        was_filled = macro is not None and self.request.POST.get("filled") == macro.short_id
        if macro is None or (was_filled and macro.content and not text.strip()):
            said = _validated(text, is_note=is_note)
            post_message(
                ticket=ticket,
                actor=self.actor,
                author_type=AuthorType.SUPPORT,
                author_name=self.agent.display_name,
                content=said["message"],
                is_private=said["is_private"],
            )
            return
        if text.strip() and text.strip() != macro.content.replace("\r\n", "\n").strip():
            # As the agent has put it; what is formatted says what it said before.
            macro.content, macro.rich_content = _validated(text)["message"], None
        apply_macro(
            ticket=ticket,
            actor=self.actor,
            macro=macro,
            actions=stored_actions(macro),
            author_name=self.agent.display_name,
        )
        check_tags(ticket)

    def _macro(self, short_id: str) -> Macro | None:
        if not short_id:
            return None
        macros = Macro.objects.filter(project_id=self.project_id)
        macro = macros.filter(short_id=short_id).first() if short_id.isalnum() else None
        if macro is None:
            raise invalid("macro", "There is no such macro.", "does_not_exist")
        return macro


def _validated(text: str, *, is_note: bool = False) -> dict[str, Any]:
    serializer = ReplySerializer(data={"message": text, "is_private": is_note})
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class MessagePage(TicketPage):
    """Edits or deletes a message or note."""

    http_method_names = ["post"]

    def post(
        self, request: HttpRequest, project_id: int, number: int, message_id: str
    ) -> HttpResponse:
        try:
            message, said = committed(lambda: self._change(message_id))
        except EditedMeanwhile:
            return self._refused(409, message_id, is_edited=True)
        except MessageGone as exc:
            return self._refused(404, message_id, is_gone=True, texts=[str(exc)])
        except ValidationError as exc:
            texts = [text for texts in failures(exc).values() for text in texts]
            return self._refused(400, message_id, texts=texts)
        if not self.htmx:
            since = "" if self.since is None else f"?since={self.since}"
            return redirect(f"{self.address}{since}#message-{message.seq}")
        return self.show_parts(self.find(), beside=message, said=said)

    def _change(self, message_id: str) -> tuple[Message, str]:
        ticket = self.find(lock=True)
        try:
            message = find_message(ticket, message_id)
        except NotFound as exc:
            raise MessageGone(str(exc)) from exc
        act = self.request.POST.get("act")
        if act == "delete":
            delete_message(message=message, ticket=ticket, actor=self.actor)
            return message, "Deleted."
        if act != "edit":
            raise invalid("act", "There is no such action.")
        if self.request.POST.get("version") != version_of(message):
            raise EditedMeanwhile
        changes = _validated_changes(message, self._entered)
        changed = edit_message(message=message, ticket=ticket, actor=self.actor, **changes)
        return message, "Saved." if changed else "It was so already."

    @property
    def _entered(self) -> str:
        return self.request.POST.get("content", "").replace("\r\n", "\n")

    def _refused(self, status: int, message_id: str, **why: Any) -> HttpResponse:
        """With what was typed, at the message or, where that is gone, below all of them."""
        ticket = self.find()
        beside = ticket.messages.visible().filter(pk=message_id).first() if status != 404 else None
        refused = {"id": message_id, "text": self._entered, **why}
        return self.show_parts(ticket, status=status, beside=beside, refused=refused)


def _validated_changes(message: Message, text: str) -> dict[str, Any]:
    serializer = MessageChangesSerializer(message, data={"content": text}, partial=True)
    serializer.is_valid(raise_exception=True)
    changes = dict(serializer.validated_data)
    if "content" in changes:
        # What is formatted says what it said before.
        changes["rich_content"] = None
    return changes


class ChangePage(TicketPage):
    """Status, priority, assignee, tags, snooze or deadline; only of what the page has shown."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, project_id: int, number: int) -> HttpResponse:
        entered = request.POST.dict()
        try:
            changed = committed(self._change)
        except ChangedMeanwhile:
            return self.show_parts(self.find(), status=409, entered=entered, is_stale=True)
        except AnsweredMeanwhile as exc:
            why = {"meanwhile": exc.meanwhile, "is_refused": "resolve"}
            return self.show_parts(self.find(), status=409, **why)
        except ValidationError as exc:
            ticket = self.find()
            return self.show_parts(ticket, status=400, entered=entered, errors=failures(exc))
        if not self.htmx:
            return redirect(self.address)
        said = "Saved." if changed else "It was so already."
        return self.show_parts(self.find(), said=said)

    def _change(self) -> bool:
        ticket = self.find(lock=True)
        if self.request.POST.get("version") != str(ticket.version):
            raise ChangedMeanwhile
        if self.request.POST.get("status") == Status.RESOLVED and "seen" in self.request.POST:
            # What is resolved is out of sight, and so is what the customer has just added.
            self.refuse_if_answered(ticket)
        serializer = TicketSerializer(
            ticket,
            data=asked_for(self.request.POST, ticket, self.project.time_zone),
            partial=True,
            context={"view": self, "project_id": self.project_id},
        )
        serializer.is_valid(raise_exception=True)
        fields = dict(serializer.validated_data)
        return bool(verbs.update_ticket(ticket=ticket, actor=self.actor, **fields))


class MarkReadPage(TicketPage):
    """Marks as read what the page has shown: a message that came since stays unread."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, project_id: int, number: int) -> HttpResponse:
        seen = _whole_number(request.POST.get("seen")) or 0
        if not committed(lambda: self._mark(seen)):
            return HttpResponse(status=409)
        return HttpResponse(status=204) if self.htmx else redirect(self.address)

    def _mark(self, seen: int) -> bool:
        ticket = self.find(lock=True)
        if ticket.last_seq > seen:
            return False
        if ticket.unread_team_count and verbs.mark_read(ticket_id=ticket.pk) is None:
            raise NotFound("There is no such ticket.")
        return True


class MarkUnreadPage(TicketPage):
    """Puts the ticket back among the unread ones, and the agent back to the list."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, project_id: int, number: int) -> HttpResponse:
        committed(lambda: verbs.mark_unread(ticket=self.find(lock=True)))
        queue, back = reverse("inbox-queue", args=[project_id]), request.POST.get("next", "")
        return redirect(back if back.partition("?")[0] == queue else queue)
