"""What a word is to every search.

A run of letters and digits with the marks that belong to them, compared without
regard to case or to how it is encoded: NFKC, case-folded, its first 64 characters.
Accents count: `cafe` does not find `café`, in whichever way that is written. Lexemes
begin with the project's id (`12:word`), so that a small project does not pay for a
big one in the same index. They are made here and not by a text search configuration
of PostgreSQL, whose parser takes an email address for one word, and whose idea of a
letter depends on how the server was set up.
"""

import re
import unicodedata
from collections.abc import Iterable

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchQueryField, SearchVectorField
from django.db.models import BooleanField, F, Func, TextField, Value
from django.db.models.functions import Cast

MAX_WORD = 64


class Lexemes(Func):
    """A tsvector of exactly these words, to be assigned to a `search` column."""

    function = "array_to_tsvector"

    def __init__(self, project_id: int, found: Iterable[str]) -> None:
        lexemes = [f"{project_id}:{word}" for word in sorted(found)]
        of_text = ArrayField(TextField())
        super().__init__(
            Value(lexemes, output_field=of_text), output_field=SearchVectorField(null=True)
        )


class Begin(Func):
    """Whether, for each of these words, a word in the `search` column begins with it."""

    template = "%(expressions)s"
    arg_joiner = " @@ "

    def __init__(self, column: str, project_id: int, found: Iterable[str]) -> None:
        lexemes = [f"'{project_id}:{word}':*" for word in sorted(found)]
        # Cast, because `to_tsquery` would take the lexemes apart once more.
        query = Cast(Value(" & ".join(lexemes)), SearchQueryField())
        super().__init__(F(column), query, output_field=BooleanField())


def words(text: str) -> set[str]:
    """The words of a text, as they are compared."""
    return {word[:MAX_WORD] for word in _WORD.findall(folded(text))}


def folded(text: str) -> str:
    """The text without what its writing varies in: width, ligatures, composition and case."""
    if text.isascii():
        return text.lower()
    text = _UNSEEN.sub("", unicodedata.normalize("NFKC", text))
    # Case-folding can take composed letters apart again.
    return unicodedata.normalize("NFKC", text.casefold())


def _marks() -> str:
    """The characters that belong to the letter before them."""
    codes = range(0x300, 0x1F000)
    return "".join(chr(code) for code in codes if unicodedata.category(chr(code))[0] == "M")


# Neither seen nor between words: soft hyphen, joiners, selectors of a glyph's variant.
_UNSEEN = re.compile("[\u00ad\u200c\u200d\u2060\ufeff\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Without the marks, a word of Hindi would end at each of its vowels.
_WORD = re.compile(rf"[^\W_](?:[^\W_]|[{_marks()}])*")
