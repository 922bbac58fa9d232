"""Persons over HTTP, whole."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.events.actors import Actor
from conversations.persons.verbs import erase_person
from projects.persons import views
from projects.persons.serializers import EraseQuery


class PersonViewSet(views.PersonViewSet):
    """The customers of a project, who can be erased together with their tickets."""

    required_scopes = {**views.PersonViewSet.required_scopes, "destroy": "person:write"}
    query_serializers = {**views.PersonViewSet.query_serializers, "destroy": EraseQuery}

    @extend_schema(responses={204: None})
    def destroy(self, request: Request) -> Response:
        """Erases the person. Their tickets stay, but `anonymous_traits` and `email_from` are
        cleared and each gets a fresh UUID as its `distinct_id`; with `tickets=true` they go too,
        and their messages."""
        erase_person(person=self.person, tickets=self.query["tickets"], actor=Actor.of(request))
        return Response(status=204)
