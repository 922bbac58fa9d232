"""Persons over HTTP, but for DELETE, which `conversations.persons` adds."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from projects.models import Person, PersonQuerySet
from projects.persons import verbs
from projects.persons.customers import person_json
from projects.persons.rows import TooManyProperties
from projects.persons.serializers import (
    MergeSerializer,
    NewPersonSerializer,
    PersonListQuery,
    PersonSerializer,
)
from projects.views import ProjectEndpoint
from rest import idempotency
from rest.exceptions import Conflict, invalid
from rest.fields import UUID_FORM, QueryParameters
from rest.pagination import Order, paginate
from rest.schema import ErrorSerializer, page_of

_NO_PERSON = "There is no such person."
_SEVERAL_PERSONS = OpenApiResponse(
    ErrorSerializer, "The distinct ids belong to several persons. Nothing was changed."
)


class PersonViewSet(ProjectEndpoint):
    """The customers of a project."""

    lookup_field = "person_id"
    lookup_value_converter = "str"
    required_scopes = {
        "list": "person:read",
        "create": "person:write",
        "retrieve": "person:read",
        "partial_update": "person:write",
        "merge": "person:write",
    }
    query_serializers: dict[str, type[QueryParameters]] = {"list": PersonListQuery}
    person: Person

    def told_about(self, response: Response) -> Sequence[UUID]:
        return [response.data["id"]]

    def find(self) -> None:
        if "person_id" not in self.kwargs:
            return
        persons = Person.objects.in_project(self.project_id).with_distinct_ids()
        # Merging locks both persons itself, in its own order.
        if self.action in ("partial_update", "destroy"):
            persons = persons.select_for_update(of=("self",))
        named = self.kwargs["person_id"]
        person = persons.filter(pk=named).first() if UUID_FORM.fullmatch(named) else None
        if person is None:
            raise NotFound(_NO_PERSON)
        self.person = person

    @extend_schema(responses=page_of(PersonSerializer))
    def list(self, request: Request) -> Response:
        page = paginate(
            _matching(self.project_id, self.query),
            order=Order("created_at", descending=True),
            query=self.query,
            request=request,
            scope=f"persons:{self.project_id}",
            adding=PersonQuerySet.with_distinct_ids,
        )
        return Response(page.body([person_json(person) for person in page.rows]))

    @extend_schema(
        request=NewPersonSerializer,
        responses={200: PersonSerializer, 201: PersonSerializer, 409: _SEVERAL_PERSONS},
    )
    def create(self, request: Request) -> Response:
        """Creates a person (201); or gives the one who has one of the distinct ids the others
        and the properties (200). If the distinct ids are those of two persons: 409."""
        body = self.read_body(NewPersonSerializer)
        try:
            person, is_new = verbs.identify(
                project_id=self.project_id,
                distinct_ids=body["distinct_ids"],
                properties=body.get("properties", {}),
            )
        except verbs.SeveralPersons as exc:
            raise Conflict(str(exc)) from exc
        except verbs.TooManyDistinctIds as exc:
            raise invalid("distinct_ids", str(exc), "max_length") from exc
        except TooManyProperties as exc:
            raise invalid("properties", str(exc), "max_length") from exc
        return self.answer_with(person.pk, status=201 if is_new else 200)

    @extend_schema(responses=PersonSerializer)
    def retrieve(self, request: Request) -> Response:
        return Response(person_json(self.person))

    @extend_schema(request=PersonSerializer, responses=PersonSerializer)
    def partial_update(self, request: Request) -> Response:
        """Sets the properties that are given; the others stay."""
        body = self.read_body(PersonSerializer, self.person)
        try:
            verbs.set_properties(person=self.person, properties=body.get("properties", {}))
        except TooManyProperties as exc:
            raise invalid("properties", str(exc), "max_length") from exc
        return self.retrieve(request)

    @extend_schema(request=MergeSerializer, responses=PersonSerializer)
    @action(detail=True, methods=["post"])
    def merge(self, request: Request) -> Response:
        """Merges another person into this one, whose properties win; the other is no more."""
        source_id: UUID = self.read_body(MergeSerializer)["person"]
        if source_id == self.person.pk:
            raise invalid("person", "A person can not be merged into themself.")
        try:
            target = verbs.merge_persons(
                project_id=self.project_id, target_id=self.person.pk, source_id=source_id
            )
        except verbs.NoSuchPerson as exc:
            if exc.args == (self.person.pk,):
                raise NotFound(_NO_PERSON) from exc
            raise invalid("person", "There is no such person.", "does_not_exist") from exc
        except (verbs.TooManyDistinctIds, TooManyProperties) as exc:
            raise invalid("person", str(exc), "max_length") from exc
        # What was told about them goes with them.
        idempotency.forget_about([source_id])
        return self.answer_with(target.pk)

    def answer_with(self, person_id: UUID, **options: Any) -> Response:
        person = Person.objects.with_distinct_ids().get(pk=person_id)
        return Response(person_json(person), **options)


def _matching(project_id: int, query: dict[str, Any]) -> PersonQuerySet:
    if "search" in query:
        persons = Person.objects.found_by(project_id, query["search"])
    else:
        persons = Person.objects.in_project(project_id)
    if "distinct_id" in query:
        persons = persons.known_as(project_id, query["distinct_id"])
    if "email" in query:
        persons = persons.with_address(project_id, [query["email"]])
    return persons
