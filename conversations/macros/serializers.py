"""A macro in requests and answers."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from conversations import examples
from conversations.messages.serializers import RichContentField
from conversations.models import Macro, Priority, Status, Ticket
from conversations.tickets.serializers import (
    MAX_CONTENT,
    MAX_TAGS,
    AssigneeField,
    AssigneeIdField,
    TagsField,
)
from projects.serializers import AuthorSerializer, author_json
from rest.exceptions import invalid
from rest.fields import Moment, StrictObject, Text
from rest.json import timestamp
from rest.schema import kept_as_sent, with_example


class MacroActionsSerializer(StrictObject):
    """What a macro does to a ticket besides answering: sets these fields, and adds the tags."""

    status = serializers.ChoiceField(choices=Status.choices, required=False)
    priority = serializers.ChoiceField(choices=Priority.choices, required=False, allow_null=True)
    tags = TagsField(required=False)
    assignee = AssigneeField(required=False, allow_null=True)


class AssigneeReferenceSerializer(StrictObject):
    """An agent (`id` is an integer) or a role (a UUID)."""

    type = serializers.ChoiceField(choices=["user", "role"])
    id = AssigneeIdField()


@kept_as_sent
@extend_schema_serializer(component_name="MacroActions")
class MacroActionsAsSentSerializer(MacroActionsSerializer):
    assignee = AssigneeReferenceSerializer(  # type: ignore[assignment]  # (narrower, on purpose)
        required=False, allow_null=True
    )


@extend_schema_field(MacroActionsAsSentSerializer)
class ActionsField(serializers.Field[Any, Any, Any, Any]):
    """Kept as they were sent, and refused where a ticket would refuse them."""

    def to_internal_value(self, data: Any) -> Any:
        MacroActionsSerializer(data=data, context=self.context).is_valid(raise_exception=True)
        return data


@with_example(response=examples.MACRO, request=examples.NEW_MACRO)
class MacroSerializer(StrictObject):
    """A prepared answer, and what else is done to the ticket that gets it."""

    id = serializers.UUIDField(read_only=True)
    short_id = serializers.CharField(read_only=True)
    name = Text(max_length=200)
    content = Text(
        default="", allow_blank=True, max_length=MAX_CONTENT, help_text="Empty: no answer is sent."
    )
    rich_content = RichContentField(default=None, allow_null=True)
    actions = ActionsField(default=dict)
    created_at = Moment(read_only=True)
    created_by = AuthorSerializer(read_only=True, allow_null=True)


@with_example(request=examples.APPLY_MACRO)
class ApplyMacroSerializer(StrictObject):
    """Which macro to apply."""

    macro = Text(max_length=16, help_text="The macro's `short_id`.")


def macro_json(macro: Macro) -> dict[str, Any]:
    return {
        "id": macro.pk,
        "short_id": macro.short_id,
        "name": macro.name,
        "content": macro.content,
        "rich_content": macro.rich_content,
        "actions": macro.actions,
        "created_at": timestamp(macro.created_at),
        "created_by": author_json(macro.created_by),
    }


def stored_actions(macro: Macro) -> dict[str, Any]:
    """A macro's actions, validated now; raises ValidationError where whom they name has gone."""
    actions = MacroActionsSerializer(data=macro.actions, context={"project_id": macro.project_id})
    try:
        actions.is_valid(raise_exception=True)
    except serializers.ValidationError as exc:
        raise serializers.ValidationError({"macro": exc.detail}) from exc
    return dict(actions.validated_data)


def check_tags(ticket: Ticket) -> None:
    """Raises ValidationError where a macro has given a ticket more tags than it can have."""
    if len(ticket.tags) > MAX_TAGS:
        raise invalid("macro", f"The ticket would have more than {MAX_TAGS} tags.")
