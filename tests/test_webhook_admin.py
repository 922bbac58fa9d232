"""Webhooks in Django's admin site."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from conversations.admin import WebhookAdmin
from conversations.models import Delivery, Webhook
from conversations.webhooks import verbs
from projects.models import Project, User
from tests.conftest import MakeTicket
from tests.test_admin import admin as admin
from tests.test_admin import new_email, refused, saved

SECRET = re.compile(r"whsec_[0-9A-Za-z+/]{40,}=*")
ADD = "/admin/conversations/webhook/add/"


@pytest.fixture
def webhook(project: Project) -> Webhook:
    return Webhook.objects.create(project=project, url="https://example.com/hook")


def page_of(webhook: Webhook) -> str:
    return f"/admin/conversations/webhook/{webhook.pk}/change/"


def test_a_new_webhook_shows_its_secret_once(admin: Client, project: Project) -> None:
    page = saved(admin, ADD, project=project.pk, url="https://example.com/a", enabled="on")

    (webhook,) = Webhook.objects.filter(project=project)
    assert SECRET.findall(page) == [webhook.secret]
    assert (webhook.event_types, webhook.enabled) == ([], True)
    assert webhook.secret not in admin.get(page_of(webhook)).content.decode()


def test_a_webhook_to_a_private_address_is_refused(admin: Client, project: Project) -> None:
    errors = refused(admin, ADD, project=project.pk, url="http://10.0.0.1/", enabled="on")

    assert "not on the public internet" in errors


def test_one_too_many_is_refused(
    admin: Client, project: Project, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversations.admin.MAX_WEBHOOKS", 1)

    errors = refused(admin, ADD, project=project.pk, url="https://example.com/b", enabled="on")

    assert "as many webhooks" in errors


def test_a_webhook_is_changed(admin: Client, webhook: Webhook) -> None:
    secret = webhook.secret

    saved(admin, page_of(webhook), event_types=["ticket.created"], description="Desk")

    webhook.refresh_from_db()
    assert (webhook.event_types, webhook.description) == (["ticket.created"], "Desk")
    assert (webhook.secret, webhook.enabled) == (secret, True)


def test_enabling_one_that_the_service_disabled_gives_it_another_five_days(
    admin: Client, webhook: Webhook
) -> None:
    now = timezone.now()
    Webhook.objects.filter(pk=webhook.pk).update(
        enabled=False,
        disabled_at=now,
        disabled_reason="It fails.",
        failing_since=now - timedelta(days=6),
    )

    saved(admin, page_of(webhook), enabled="on")

    webhook.refresh_from_db()
    assert (webhook.enabled, webhook.disabled_reason, webhook.failing_since) == (True, None, None)


def test_what_waits_for_one_that_is_disabled_fails(
    admin: Client, webhook: Webhook, make_ticket: MakeTicket
) -> None:
    make_ticket()
    fields: dict[str, Any] = {"url": webhook.url, "description": ""}

    admin.post(page_of(webhook), fields)

    while verbs.clear_away():
        pass
    assert [d.status for d in Delivery.objects.filter(webhook=webhook)] == ["failed"]


def test_a_rotated_secret_is_shown_once(admin: Client, webhook: Webhook) -> None:
    page = admin.post(
        "/admin/conversations/webhook/",
        {"action": "rotate", "_selected_action": [webhook.pk]},
        follow=True,
    )

    old = webhook.secret
    webhook.refresh_from_db()
    assert SECRET.findall(page.content.decode()) == [webhook.secret]
    assert [pair[0] for pair in webhook.former_secrets] == [old]
    shown = admin.get(page_of(webhook)).content.decode()
    assert not SECRET.findall(shown)


def test_a_webhook_is_deleted_with_its_deliveries(
    admin: Client, webhook: Webhook, make_ticket: MakeTicket
) -> None:
    make_ticket()
    url = page_of(webhook).replace("change", "delete")
    assert "1 deliveries" in admin.get(url).content.decode()

    admin.post(url, {"post": "yes"})

    assert not Webhook.objects.kept().filter(pk=webhook.pk).exists()


def test_its_deliveries_are_one_click_away(
    admin: Client, webhook: Webhook, make_ticket: MakeTicket
) -> None:
    make_ticket()
    (link,) = re.findall(
        r"/admin/conversations/delivery/\?webhook[^\"]+",
        admin.get(page_of(webhook)).content.decode(),
    )

    assert "1 delivery" in admin.get(link).content.decode()


def test_a_secret_can_not_be_asked_for_letter_by_letter(admin: Client, webhook: Webhook) -> None:
    for url in (
        "/admin/conversations/webhook/?secret__startswith=whsec_a",
        "/admin/conversations/delivery/?webhook__secret__startswith=whsec_a",
    ):
        assert admin.get(url).status_code in (302, 400)
    assert "secret" not in {*WebhookAdmin.fields, *WebhookAdmin.list_display}


def test_who_may_only_look_can_not_rotate(webhook: Webhook) -> None:
    user = User.objects.create_user(new_email(), is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_webhook"))
    client = Client()
    client.force_login(user)

    client.post(
        "/admin/conversations/webhook/", {"action": "rotate", "_selected_action": [webhook.pk]}
    )

    assert Webhook.objects.get(pk=webhook.pk).secret == webhook.secret
