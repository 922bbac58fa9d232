"""How a project stands: what is to be done, and how the last thirty days went."""

from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from conversations.inbox.overview import numbers
from conversations.inbox.overview.charts import COUNTS, DURATIONS, chart, duration
from conversations.inbox.page import InboxPage
from conversations.inbox.queue.controls import UNRESOLVED, address_of
from conversations.models import Status


class OverviewPage(InboxPage):
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, project_id: int) -> HttpResponse:
        totals = numbers.status_totals(project_id)
        zone = ZoneInfo(self.project.time_zone)
        whole, days = numbers.last_days(project_id, zone=zone, now=timezone.now())
        context = {
            "unresolved": sum(totals.values()),
            "unresolved_list": self._list(status=UNRESOLVED),
            "by_status": [
                (Status(status).label, total, self._list(status=status))
                for status, total in totals.items()
            ],
            "unread": numbers.unread(project_id),
            "unread_list": self._list(status=UNRESOLVED, unread="true"),
            "breached": numbers.breached(project_id),
            "breached_list": self._list(status=UNRESOLVED, sla="breached", order_by="sla_due_at"),
            "whole": whole,
            "whole_median": _shown(whole.median_seconds),
            "charts": [
                chart(
                    "tickets",
                    "New tickets per day",
                    [(day.date, day.span.tickets) for day in days],
                    tops=COUNTS,
                    text=str,
                ),
                chart(
                    "replies",
                    "Median time to the first reply, by the day of the ticket",
                    [(day.date, day.span.median_seconds) for day in days],
                    tops=DURATIONS,
                    text=duration,
                ),
            ],
            "first_day": days[0].date,
            "last_day": days[-1].date,
            "rows": [(day, _shown(day.span.median_seconds)) for day in reversed(days)],
            "place": "overview",
        }
        return self.show("inbox/overview.html", context)

    def _list(self, **filters: str) -> str:
        return address_of(reverse("inbox-queue", args=[self.project_id]), filters)


def _shown(seconds: int | None) -> str:
    return "none" if seconds is None else duration(seconds)
