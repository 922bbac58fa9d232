"""What the fuzzer knows of this service beyond its schema; `fuzz.toml` loads it."""

import ipaddress
import itertools
import json
import re
from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

_addresses = itertools.count(int(ipaddress.IPv4Address("100.64.0.1")))

# What a schema can not say, so that data that it allows may be refused: the operation, the field or
# parameter, the code, each as a pattern. All else that is refused is a failure.
NOT_IN_THE_SCHEMA: list[tuple[str, str, str]] = [
    # Names something that has to exist, or to be of this project, or to be a link of this list.
    (".*", "cursor", "invalid_input"),
    ("events_list", "after", "does_not_exist"),
    ("tickets_apply_macro_create", "macro", "does_not_exist"),
    ("persons_merge_create", "person", "does_not_exist|invalid_input"),
    ("tickets_.*", "assignee", "invalid_input"),
    ("(macros|quick_actions)_.*", "actions__assignee", "invalid_input"),
    ("tickets_list", "view", "does_not_exist"),
    # Who asks: `me` is an agent, and so many users there are not.
    ("tickets_list", "assignee", "not_signed_in|too_large"),
    ("views_.*", "filters__assignee", "not_signed_in|too_large"),
    # Text with a grammar, or of which a list is kept: times, words, zones, hosts, addresses, links.
    ("tickets_list", "(date|created)_(from|to)", "unknown|beyond"),
    ("views_.*", "filters__date(From|To)", "unknown|beyond"),
    ("tickets_list", "search", "no_word"),
    ("views_.*", "filters__search", "no_word"),
    ("persons_list", "search", "no_word"),
    ("project_partial_update", "time_zone|widget_domains__[0-9]+", "invalid_input"),
    (
        "tickets_.*",
        "sla__business_hours__timezone|sla__business_hours__time",
        "invalid_input|empty",
    ),
    ("webhooks_.*", "url", "invalid_input"),
    ("tickets_create", "email_from", "invalid_input"),
    # A comma parts the values of a parameter; a text is measured once it is trimmed.
    (".*", ".*", "blank|empty"),
    # No text holds NUL: said once in the description, and not in a pattern for each.
    (".*", ".*", "null_characters_not_allowed"),
    # To a JSON schema 7.0 is an integer, and to us it is none.
    ("views_.*", "filters__assignee", "invalid_input"),
    ("tickets_.*", "sla__amount", "invalid_input"),
    # Rules between fields, or between a field and what is stored.
    ("widget_.*", "widget_session_id|identity_.*|distinct_id", "required"),
    ("tickets_.*", "sla|snoozed_until", "invalid_input|too_late"),
    ("tickets_(messages|notes)_partial_update", "(rich_)?content|message", "invalid_input"),
    ("tickets_.*", "anonymous_traits__(name|email)", "invalid_input"),
    # The sum of what the parts may be, and what is stored in lower case.
    (".*", "(anonymous_)?traits|session_context|rich_content|properties|tags.*", "max_length"),
    # JSON and text that no database holds, and numbers of which every reader makes another.
    (".*", ".*", "parse_error"),
]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Each request is another customer's: the limits of addresses are not what is looked for."""
    case.headers["X-Forwarded-For"] = str(ipaddress.IPv4Address(next(_addresses)))


@schemathesis.check
def valid_data_is_accepted(ctx: Any, response: Any, case: Any) -> bool | None:
    """`positive_data_acceptance`, but for what a schema can not say."""
    if response.status_code == 400 and all(_is_no_matter_of_the_schema(case, response)):
        return None
    return positive_data_acceptance(ctx, response, case)


def _is_no_matter_of_the_schema(case: Any, response: Any) -> list[bool]:
    body = json.loads(response.content)
    operation = case.operation.definition.raw["operationId"]
    return [
        failure["detail"] == "Text must not hold NUL or lone surrogates."
        or any(
            re.fullmatch(name, operation)
            and re.fullmatch(attr, str(failure["attr"]))
            and re.fullmatch(code, failure["code"])
            for name, attr, code in NOT_IN_THE_SCHEMA
        )
        for failure in body.get("errors", [body])
    ]
