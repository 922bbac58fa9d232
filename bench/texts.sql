-- What people write: the table `texts`, of 5 to 80 words each, whose ranks follow Zipf's law, so
-- that there are words in nearly every text and words in one of many thousands.

CREATE TEMP TABLE vocabulary AS
SELECT rank, CASE
    WHEN rank < cardinality(common) THEN common[rank + 1]
    ELSE (
        SELECT string_agg(substr('bdfgklmnprstvz', 1 + mod(place, 14), 1)
            || substr('aeiou', 1 + mod(place / 14, 5), 1), '' ORDER BY syllable DESC)
        FROM (
            -- The digits of a number to the base of 70, which is how many syllables there are.
            SELECT syllable, mod((4900 + rank) / (70 ^ syllable)::int, 70) AS place
            FROM generate_series(0, 2) AS syllable
        ) AS digits
    )
END AS word
FROM generate_series(0, %(words)s - 1) AS rank, string_to_array(
    'the to and is it of my in not that for on you have with but be can this are your me we was as'
    ' when what do please order has from at so there if will no get an would or account still'
    ' after been page help payment how email just could any again button app login invoice need'
    ' working thanks since error card customer see team screen nothing works password today',
    ' '
) AS common;

CREATE TEMP TABLE texts AS
SELECT
    id,
    upper(left(said, 1)) || substr(said, 2) AS content,
    words
FROM (
    SELECT
        id,
        string_agg(word || CASE WHEN mod(place, 11) = 10 THEN '.' ELSE '' END, ' ' ORDER BY place)
            AS said,
        array_agg(DISTINCT word) AS words
    FROM (
        SELECT id, place, floor(%(words)s ^ random())::int - 1 AS rank
        FROM (
            SELECT id, 5 + (75 * random() ^ 2)::int AS length
            FROM generate_series(0, %(texts)s - 1) AS id
        ) AS lengths, generate_series(1, length) AS place
    ) AS places JOIN vocabulary USING (rank)
    GROUP BY id
) AS made;

ALTER TABLE texts ADD PRIMARY KEY (id);
ANALYZE texts;
