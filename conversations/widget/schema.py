"""How the widget's endpoints are described."""

from typing import Any

from rest_framework import serializers

from rest.schema import ErrorSerializer, Schema


class WidgetErrorSerializer(ErrorSerializer):
    """An error of the widget API: the shape of all errors, and what went wrong once more."""

    error = serializers.CharField()
    details = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="With a 400: what is wrong with each field.",
    )


class WidgetSchema(Schema):
    """Named by a public token, and limited; no scopes."""

    error_serializer = WidgetErrorSerializer
    errors = {
        **{status: text for status, text in Schema.errors.items() if status != "401"},
        "403": "The token is not a project's, or the page, the hash or the ticket is not its own.",
        "404": "There is no such ticket.",
        "429": "Too many requests of this session or address.",
    }

    def get_tags(self) -> list[str]:
        return ["widget"]

    def get_auth(self) -> list[dict[str, list[str]]]:
        return [{"PublicToken": []}]

    def error_example(self, status: str) -> dict[str, Any]:
        example = super().error_example(status)
        if status == "403":
            example["detail"] = "Forbidden"
        if status != "400":
            return {**example, "error": example["detail"]}
        details = {example["attr"]: [example["detail"]]}
        return {**example, "error": "Invalid request data", "details": details}

    def _may_answer(self, status: str, operation: dict[str, Any]) -> bool:
        if status == "404":
            return "{ticket_id}" in self.path or self.path.endswith("/message")
        return super()._may_answer(status, operation)
