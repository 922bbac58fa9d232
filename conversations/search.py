"""Which words are in a ticket and its messages, and which tickets have the words of a search.

What a word is, `rest.words` says.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import connection
from django.db.models import BooleanField, F, Func, IntegerField, QuerySet

from conversations.models import Ticket, TicketQuerySet
from projects.models import Project
from rest.pagination import count_of
from rest.words import Lexemes, folded, words

# Among a million tickets it is about here that a page costs the same either way: by
# fetching and sorting all hits, or by looking into a million / FEW tickets for each row.
FEW = 10_000
# The columns that `of_ticket` reads.
SEARCHED = frozenset({"anonymous_traits", "email_from", "email_subject", "tags"})


# --- What is kept ------------------------------------------------------------


def of_message(project_id: int, content: str) -> Lexemes:
    """What `Message.search` is for this content; for a deleted message it is None instead."""
    return Lexemes(project_id, words(content))


def of_ticket(ticket: Ticket) -> Lexemes:
    """What `Ticket.search` is for the ticket's fields as they are now.

    To be set whenever one of `SEARCHED` changes, in whichever way.
    """
    traits = ticket.anonymous_traits
    customer = [traits.get(name) for name in ("name", "email")]
    texts = [*customer, ticket.email_from, ticket.email_subject, *ticket.tags]
    # Each text for itself: a word does not run from one into the next.
    return Lexemes(
        ticket.project_id, {word for text in texts if isinstance(text, str) for word in words(text)}
    )


_NUMBER = re.compile(r"#?([0-9]+)")


# --- What is looked for ------------------------------------------------------


@dataclass
class Search:
    """What a search says: a ticket's number, or words that each must be in a ticket.

    A word is in a ticket when one of the ticket's own words or of a message's
    begins with it. How the tickets are found depends on how many there are, which
    the planner can not know: it takes any word that is not among the thousand
    commonest of all projects for equally rare. So the words are looked up first,
    the longest before the others, up to `FEW` rows each:

    - One that has few hits narrows everything down to these by the indexes of
      lexemes, and the other words are looked for in those tickets alone.
    - Where each has many, tickets are taken in the order of the list and looked into,
      since the next one that matches is not far; and counted by the indexes.

    A wrong plan costs thousands of times the right one (measured: 18 seconds, for a
    search that finds nothing). So the indexes of lexemes are asked with a query that
    the planner sees as unknown, which it takes for rare whatever the statistics say;
    and where they must not be used, with a function that no index has.
    """

    project_id: int
    number: int | None
    words: list[str]

    def among(self, tickets: TicketQuerySet) -> TicketQuerySet:
        """Those of `tickets` that match, to be listed."""
        if self.number is not None:
            return tickets.filter(ticket_number=self.number)
        if self.rare is None:
            return tickets.filter(_Looked(self.project_id, self.words))
        others = [word for word in self.words if word != self.rare]
        tickets = tickets.filter(_Listed(self.project_id, [self.rare]))
        return tickets.filter(_Looked(self.project_id, others)) if others else tickets

    def counted_among(self, tickets: TicketQuerySet) -> TicketQuerySet:
        """The same tickets, to be counted."""
        if self.number is not None or self.rare is not None:
            return self.among(tickets)
        return tickets.filter(_Indexed(self.project_id, self.words))

    def number_among_all(self, tickets: TicketQuerySet) -> QuerySet[Any, int]:
        """The query for how many match, where `tickets` are all of the project.

        Their rows, and a hash to look them up in, are not needed then: what is found
        by the indexes of lexemes is counted itself.
        """
        if self.number is None and (self.rare is None or len(self.words) == 1):
            number = _Number(self.project_id, self.words)
            return Project.objects.filter(pk=self.project_id).values_list(number, flat=True)
        return count_of(self.among(tickets))

    @cached_property
    def rare(self) -> str | None:
        """A word with few hits, if one of the longest has."""
        for word in self.words[:_TRIED]:
            with connection.cursor() as cursor:
                cursor.execute(_COUNT, [_query(self.project_id, [word])] * 2 + [FEW + 1])
                if cursor.fetchone()[0] <= FEW:
                    return word
        return None


def read_search(project_id: int, text: str) -> Search:
    """Raises ValueError for a text without any word."""
    number = _NUMBER.fullmatch(folded(text).strip())
    if number:
        return Search(project_id, int(number[1]), [])
    found = words(text)
    # What begins with `tickets` begins with `ticket` as well.
    needed = [word for word in found if not any(_is_within(word, other) for other in found)]
    if not needed:
        raise ValueError(text)
    return Search(project_id, None, sorted(needed, key=lambda word: (-len(word), word)))


def _is_within(word: str, other: str) -> bool:
    return word != other and other.startswith(word)


# One that is long enough to be rare is among these, and each costs a look-up.
_TRIED = 3

# A sub-select is what the planner sees as unknown.
_HITS = (
    "SELECT id, search FROM conversations_ticket WHERE search @@ (SELECT %s::tsquery)"
    " UNION ALL"
    " SELECT ticket_id, search FROM conversations_message WHERE search @@ (SELECT %s::tsquery)"
)
# The values in the statements of this module are parameters, all of them.
_COUNT = f"WITH h AS MATERIALIZED ({_HITS}) SELECT count(*) FROM (SELECT FROM h LIMIT %s) few"  # noqa: S608  (constants of ours)


def _query(project_id: int, any_of: Iterable[str]) -> str:
    """A tsquery for lexemes that begin with one of these words, which hold no quotes."""
    return " | ".join(f"'{project_id}:{word}':*" for word in any_of)


class _Condition(Func):
    """A condition on a ticket, in SQL that the ORM has no words for."""

    output_field = BooleanField()

    def __init__(self, project_id: int, looked_for: list[str]) -> None:
        super().__init__(F("pk"), F("search"))
        self.queries = [_query(project_id, [word]) for word in looked_for]
        self.any_of_them = _query(project_id, looked_for)

    def as_sql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:  # type: ignore[override]  # (with the parameters as a list)
        columns = [compiler.compile(column)[0] for column in self.get_source_expressions()]
        return self.condition(*columns)

    def condition(self, pk: str, search: str) -> tuple[str, list[Any]]:
        raise NotImplementedError


class _Listed(_Condition):
    """One word, by the indexes, for few hits: an array makes the planner start from them."""

    def condition(self, pk: str, search: str) -> tuple[str, list[Any]]:
        hits = f"ARRAY(SELECT id FROM ({_HITS}) h)"  # noqa: S608  (constants of ours)
        return f"{pk} = ANY ({hits})", [self.any_of_them] * 2


class _Looked(_Condition):
    """All words, by reading the ticket and its messages."""

    def condition(self, pk: str, search: str) -> tuple[str, list[Any]]:
        each = (
            f"(ts_match_vq({search}, %s::tsquery) IS TRUE"
            " OR bool_or(ts_match_vq(m.search, %s::tsquery)) IS TRUE)"
        )
        every = " AND ".join([each] * len(self.queries))
        sql = f"(SELECT {every} FROM conversations_message m WHERE m.ticket_id = {pk})"  # noqa: S608  (constants of ours)
        return sql, [query for query in self.queries for _ in range(2)]


class _Indexed(_Condition):
    """All words, by the indexes, for many hits: each ticket is one look-up in a hash of them.

    IS TRUE keeps it from becoming a join, which would fetch the tickets one by one; and
    the array from being repeated for each ticket, once the planner thinks that the hits
    are too many for a hash. The process's id is a thing that parallel workers may not
    ask for: each would collect all hits for itself (measured: 8.0 s against 4.4).
    """

    def condition(self, pk: str, search: str) -> tuple[str, list[Any]]:
        hits, params = _with_all(self.any_of_them, self.queries)
        found = f"SELECT unnest(ARRAY({hits})) WHERE pg_backend_pid() > 0"
        return f"({pk} IN ({found})) IS TRUE", params


class _Number(Func):
    """How many tickets of the project have all words, by the indexes alone.

    DISTINCT here always sorts, and so do the tickets with several words: a hash of
    as many ids as the planner did not expect takes several times as long (measured:
    1.0 s of processor time for 2.3 million hits, against 0.2 to sort them).
    """

    output_field = IntegerField()

    def __init__(self, project_id: int, looked_for: list[str]) -> None:
        super().__init__()
        self.queries = [_query(project_id, [word]) for word in looked_for]
        self.any_of_them = _query(project_id, looked_for)

    def as_sql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:  # type: ignore[override]  # (with the parameters as a list)
        hits, params = _with_all(self.any_of_them, self.queries)
        return f"(SELECT count(DISTINCT id) FROM ({hits}) found)", params  # noqa: S608  (constants of ours)


def _with_all(any_of_them: str, queries: list[str]) -> tuple[str, list[Any]]:
    """The ids of the tickets that have all words; for a single word some more than once."""
    params = [any_of_them] * 2
    if len(queries) == 1:
        return f"SELECT id FROM ({_HITS}) h", params  # noqa: S608  (constants of ours)
    # What is sorted is an id with an answer for each word, and no lexemes.
    names = [f"has_{place}" for place in range(len(queries))]
    has = ", ".join(f"ts_match_vq(search, %s::tsquery) AS {name}" for name in names)
    every = " AND ".join(f"bool_or({name})" for name in names)
    sql = (
        f"SELECT id FROM (SELECT id, {has} FROM ({_HITS}) h ORDER BY id) looked"  # noqa: S608  (constants of ours)
        f" GROUP BY id HAVING {every}"
    )
    return sql, [*queries, *params]
