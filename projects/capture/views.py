"""What posthog-js sends to its host, unasked: events, and the question for feature flags.

Their form is PostHog's own protocol, so they are not in our schema.
"""

import hashlib
import math
from typing import Any

from django.db import transaction
from rest_framework.exceptions import ParseError, PermissionDenied, Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from projects import tokens
from projects.capture.bodies import Batch, read_batch, token_of
from projects.capture.events import claim_of
from projects.capture.jobs import hear_claims
from projects.persons.claims import Claim, note
from projects.write_limits import write_limits
from rest.bodies import CUT_OFF
from rest.limits import take
from rest.proxies import client_network

# What a browser has to say of its person fits into a few; this bounds what one request costs.
MAX_CLAIMS = 50


class PublicView(APIView):
    """Anybody may call it, from any page; no session and no key means anything here."""

    authentication_classes: Any = []
    permission_classes: Any = []
    http_method_names = ["post"]
    # No operation of the schema.
    schema: Any = None


class EventsView(PublicView):
    """Takes batches of events and drops all of them but claims about persons.

    `$identify`, `$set` and `$create_alias` are claims, of which `projects.persons.claims`
    says what becomes; at most 50 of a batch are heard, soon after the answer. Neither
    that nor its time tells whether anybody is known: a request looks no person up.
    200 `{"status": 1}` says that the batch was understood, not that anything in it was kept.
    """

    def post(self, request: Request) -> Response:
        if request.META.get(CUT_OFF):
            raise ParseError("The body ends before its end.")
        is_form = request.content_type.startswith("application/x-www-form-urlencoded")
        batch = read_batch(request.body, is_form=is_form)
        project = tokens.look_up(batch.token) if batch.token else None
        if project is None:
            raise PermissionDenied("There is no project with this token.")
        if project.conversations_enabled:
            self.take_down(project.id, _claims(batch))
        return Response({"status": 1})

    def take_down(self, project_id: int, claims: list[Claim]) -> None:
        """Has those heard that are within the limits; raises Throttled if there are others."""
        network = client_network(self.request._request)
        waits = [_take(project_id, claim.distinct_id, network) for claim in claims]
        allowed = [claim for claim, wait in zip(claims, waits, strict=True) if not wait]
        if allowed:
            with transaction.atomic():
                pending = note(project_id=project_id, claims=allowed)
                hear_claims.defer(pending_id=str(pending.pk))
        if any(waits):
            raise Throttled(math.ceil(max(waits)))


def _claims(batch: Batch) -> list[Claim]:
    own = (event for event in batch.events if token_of(event) in (None, batch.token))
    return [claim for claim in map(claim_of, own) if claim is not None][:MAX_CLAIMS]


def _take(project_id: int, distinct_id: str, network: str) -> float:
    """Counts a claim as a write of the widget is counted; seconds to wait if it is one too many."""
    # With the address, since anybody can name the distinct id of somebody else.
    who = f"{project_id}:{hashlib.sha256(distinct_id.encode()).hexdigest()}:{network}"
    return take(write_limits("claims", who=who, network=network)).wait


class FlagsView(PublicView):
    """There are no feature flags, whoever asks; the body is not looked at."""

    def post(self, request: Request) -> Response:
        return Response(
            {
                "errorsWhileComputingFlags": False,
                "featureFlagPayloads": {},
                "featureFlags": {},
                "flags": {},
            }
        )
