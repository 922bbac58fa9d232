"""What posthog-js sends to its host, unasked: events, and the question for feature flags.

Their form is PostHog's own protocol, so they are not in our schema.
"""

import hashlib
import math
from typing import Any

from rest_framework.exceptions import ParseError, PermissionDenied, Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from projects import tokens
from projects.capture.bodies import Batch, read_batch, token_of
from projects.capture.events import claim_of
from projects.persons.claims import Claim, hear
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
    says what becomes; at most 50 of a batch are heard. 200 `{"status": 1}` says that
    the batch was understood, not that anything in it was kept.
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
            self.hear_all(project.id, _claims(batch))
        return Response({"status": 1})

    def hear_all(self, project_id: int, claims: list[Claim]) -> None:
        """Hears those that are within the limits; raises Throttled if there are others."""
        network, wait = client_network(self.request._request), 0.0
        for claim in claims:
            refused_for = _take(project_id, claim.distinct_id, network)
            if refused_for:
                wait = max(wait, refused_for)
            else:
                hear(project_id=project_id, claim=claim)
        if wait:
            raise Throttled(math.ceil(wait))


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
