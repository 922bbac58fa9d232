"""Which distinct ids are one customer by the word of an API key or a verified identity."""

from django.db.models import F

from projects.models import PersonDistinctId


def linked_to(project_id: int, distinct_id: str) -> set[str]:
    """The distinct id, with all that an API key or a verified identity has linked to it.

    Not with those that only a claim has put beside it, in the same person. One query.
    """
    linked = PersonDistinctId.objects.filter(
        person__distinct_id_rows__project_id=project_id,
        person__distinct_id_rows__distinct_id=distinct_id,
        person__distinct_id_rows__link=F("link"),
    )
    return {distinct_id, *linked.values_list("distinct_id", flat=True)}
