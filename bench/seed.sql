-- One project's persons, tickets and messages, every row computed from its number alone, so that
-- two runs measure the same data. What people write comes from the table `texts` of `texts.sql`.
-- Parameters: project_id, tickets, unread, messages, persons, now, agents, roles.

-- Those that read the clock's zone are STABLE: PostgreSQL unfolds no others into the statement,
-- and calling one for each row takes ten times as long.

-- A number below `sides` that looks random and is always the same for the same arguments.
CREATE OR REPLACE FUNCTION pg_temp.dice(n int, salt int, sides int) RETURNS int
LANGUAGE sql IMMUTABLE AS $$ SELECT abs(mod(hashint8(n::bigint * 64 + salt), sides)) $$;

-- A UUID of version 7, as the service makes them: in the order of time.
CREATE OR REPLACE FUNCTION pg_temp.id(kind text, project int, n int, moment timestamptz)
RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (
        lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7' || kind || '8'
        || lpad(to_hex(project), 7, '0') || lpad(to_hex(n), 8, '0')
    )::uuid
$$;

-- Ticket n of a year in which they came at a constant rate; the last one an hour ago.
CREATE OR REPLACE FUNCTION pg_temp.opened(n int) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT %(now)s::timestamptz - interval '1 hour'
        - interval '365 days' * (%(tickets)s - n) / %(tickets)s
$$;

CREATE OR REPLACE FUNCTION pg_temp.said(n int, seq int) RETURNS timestamptz
LANGUAGE sql STABLE AS $$ SELECT pg_temp.opened(n) + interval '7 minutes' * (seq - 1) $$;

CREATE OR REPLACE FUNCTION pg_temp.ticket_id(n int) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT pg_temp.id('001', %(project_id)s, n, pg_temp.opened(n))
$$;

CREATE OR REPLACE FUNCTION pg_temp.first_name(n int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY['Amara', 'Björn', 'Chiara', 'Dmitri', 'Zoë', 'Farid', 'Greta', 'Hana',
        'Ibrahim', 'Jing', 'Kofi', 'Leila', 'Mateo', 'Noor', 'Olga', 'Priya'])[
        1 + pg_temp.dice(n, 1, 16)]
$$;

-- The lexemes of words in small letters, as `rest.words` makes them.
CREATE OR REPLACE FUNCTION pg_temp.lexemes(words text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE AS $$
    SELECT array_to_tsvector(ARRAY(
        SELECT '%(project_id)s:' || word FROM unnest(words) AS word WHERE word <> ''
    ))
$$;

CREATE OR REPLACE FUNCTION pg_temp.text_of(n int, seq int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_temp.dice(n * 8 + seq, 9, %(texts)s)
$$;

-- Known to one ticket alone, and said in one message of three.
CREATE OR REPLACE FUNCTION pg_temp.order_code(n int, seq int) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN mod(n + seq, 3) = 0 THEN 'zx' || n END
$$;

DROP TABLE IF EXISTS said;
CREATE TEMP TABLE said AS
SELECT id, content, pg_temp.lexemes(words) AS search FROM texts WHERE id < %(texts)s;
ANALYZE said;

INSERT INTO projects_person (id, project_id, properties, is_identified, created_at, search)
SELECT
    pg_temp.id('000', %(project_id)s, n, %(now)s::timestamptz - interval '400 days'),
    %(project_id)s,
    jsonb_build_object(
        'name', name,
        'email', email,
        'plan', (ARRAY['free', 'team', 'business'])[1 + pg_temp.dice(n, 2, 3)],
        'company', 'Company ' || pg_temp.dice(n, 3, 500),
        'seats', 1 + pg_temp.dice(n, 4, 80),
        'country', (ARRAY['DE', 'FR', 'US', 'BR', 'IN', 'JP'])[1 + pg_temp.dice(n, 5, 6)],
        '$browser', (ARRAY['Chrome', 'Firefox', 'Safari'])[1 + pg_temp.dice(n, 6, 3)],
        'signed_up_at', (%(now)s::timestamptz - interval '1 day' * pg_temp.dice(n, 7, 900))::date
    ),
    TRUE,
    %(now)s::timestamptz - interval '400 days',
    pg_temp.lexemes(regexp_split_to_array(lower(name || ' ' || email), '[ @.]+'))
FROM (
    SELECT
        n,
        pg_temp.first_name(n) || ' ' || initcap(left(md5(n::text), 7)) AS name,
        left(md5(n::text), 7) || n || '@customers.example' AS email
    FROM generate_series(1, %(persons)s) AS n
) AS persons;

-- Everybody under an id of the customer's own system, every third also under a browser's.
INSERT INTO projects_persondistinctid (project_id, person_id, distinct_id)
SELECT
    %(project_id)s,
    pg_temp.id('000', %(project_id)s, n, %(now)s::timestamptz - interval '400 days'),
    name
FROM generate_series(1, %(persons)s) AS n,
    unnest(ARRAY['user_' || left(md5(n::text), 20), gen_random_uuid()::text]) WITH ORDINALITY
        AS names (name, place)
WHERE place = 1 OR mod(n, 3) = 0
ORDER BY n, place;

-- Nine of ten are resolved; exactly `unread` have messages that the team has not read.
INSERT INTO conversations_ticket (
    id, project_id, ticket_number, channel_source, channel_detail, distinct_id, identity_verified,
    widget_session_id, status, priority, assignee_user_id, assignee_role_id, anonymous_traits,
    ai_resolved, escalation_reason, tags, sla_due_at, snoozed_until, session_id, session_context,
    email_subject, email_from, search, created_at, updated_at, resolved_at, message_count,
    last_message_at, last_message_text, last_seq, team_read_seq, customer_read_seq,
    customer_delivered_seq, marked_unread, unread_team_count, unread_customer_count,
    first_reply_seconds
)
SELECT
    pg_temp.ticket_id(n), %(project_id)s, n, channel,
    CASE channel WHEN 'widget' THEN 'widget_embedded' END,
    CASE WHEN pg_temp.dice(n, 20, 10) = 0 THEN 'anonymous_' || left(md5(n::text), 20)
        ELSE 'user_' || left(md5((1 + pg_temp.dice(n, 21, %(persons)s))::text), 20) END,
    CASE channel WHEN 'widget' THEN mod(n, 4) > 0 END,
    CASE channel WHEN 'widget' THEN md5('widget' || n)::uuid END,
    status,
    (ARRAY['low', 'medium', 'medium', 'high', 'critical', NULL, NULL])[
        1 + pg_temp.dice(n, 22, 7)],
    CASE WHEN assigned < 4 THEN (%(agents)s::bigint[])[1 + mod(n, %(agent_count)s)] END,
    CASE WHEN assigned BETWEEN 4 AND 5 THEN (%(roles)s::uuid[])[1 + mod(n, %(role_count)s)] END,
    jsonb_build_object('name', pg_temp.first_name(n), 'email', address),
    pg_temp.dice(n, 23, 20) = 0, NULL, tags,
    CASE WHEN status <> 'resolved' THEN pg_temp.opened(n) + interval '2 days' END, NULL,
    CASE channel WHEN 'widget' THEN left(md5('session' || n), 32) END,
    CASE channel WHEN 'widget' THEN jsonb_build_object(
        'url', 'https://shop.example/orders/' || n, 'referrer', 'https://search.example/'
    ) ELSE '{}' END,
    CASE channel WHEN 'email' THEN subject END,
    CASE channel WHEN 'email' THEN address END,
    pg_temp.lexemes(regexp_split_to_array(lower(concat_ws(' ',
        pg_temp.first_name(n), address, array_to_string(tags, ' '),
        CASE channel WHEN 'email' THEN subject END
    )), '[ @.]+')),
    pg_temp.opened(n), pg_temp.said(n, messages),
    CASE status WHEN 'resolved' THEN pg_temp.said(n, messages) END,
    messages, pg_temp.said(n, messages),
    left(concat_ws(' ', content, pg_temp.order_code(n, messages)), 500), messages,
    CASE WHEN is_unread THEN 0 ELSE messages END, messages, messages,
    FALSE, CASE WHEN is_unread THEN (messages + 1) / 2 ELSE 0 END, 0,
    -- As the messages below say: the second one is the team's, unless the AI has written it.
    CASE WHEN messages > 1 AND pg_temp.dice(n, 23, 20) > 0
        THEN extract(epoch FROM pg_temp.said(n, 2) - pg_temp.opened(n)) END
FROM (
    SELECT
        *,
        (SELECT left(subjects.content, 40) FROM texts AS subjects
            WHERE subjects.id = mod(n, 500)) AS subject,
        'visitor' || n || '@mail.example' AS address,
        (ARRAY['billing', 'bug', 'delivery', 'login', 'vip'])[
            1 + pg_temp.dice(n, 24, 5):1 + pg_temp.dice(n, 24, 5) + pg_temp.dice(n, 25, 4) - 1
        ] AS tags
    FROM (
        SELECT
            n, is_unread,
            -- Of five tickets with 1 to 5 messages each, so three of them on the average.
            least(%(messages)s * 2 - 1, 1 + pg_temp.dice(n, 26, 5)) AS messages,
            pg_temp.dice(n, 27, 10) AS assigned,
            (ARRAY['widget', 'widget', 'email', 'api', 'slack'])[1 + pg_temp.dice(n, 28, 5)]
                AS channel,
            CASE
                WHEN is_unread THEN 'open' WHEN place < 920 THEN 'resolved'
                WHEN place < 950 THEN 'open' WHEN place < 970 THEN 'pending'
                WHEN place < 980 THEN 'on_hold' ELSE 'new'
            END AS status
        FROM (
            SELECT
                n, pg_temp.dice(n, 30, 1000) AS place,
                mod(n, %(tickets)s / %(unread)s) = 0 AND n / (%(tickets)s / %(unread)s) <= %(unread)s
                    AS is_unread
            FROM generate_series(1, %(tickets)s) AS n
        ) AS numbers
    ) AS statuses
) AS tickets JOIN said ON said.id = pg_temp.text_of(n, messages)
ORDER BY n;

-- Customer and team in turn, the customer first.
INSERT INTO conversations_message (
    id, project_id, ticket_id, seq, author_type, author_name, content, rich_content, is_private,
    created_at, deleted_at, search
)
SELECT
    pg_temp.id(
        lpad(to_hex(16 + seq), 3, '0'), %(project_id)s, ticket_number,
        pg_temp.said(ticket_number, seq)
    ),
    %(project_id)s, ticket_id, seq,
    CASE WHEN mod(seq, 2) = 1 THEN 'customer' WHEN ai_resolved THEN 'AI' ELSE 'support' END,
    CASE WHEN mod(seq, 2) = 1 THEN pg_temp.first_name(ticket_number) ELSE 'Support' END,
    concat_ws(' ', content, code), NULL, FALSE, pg_temp.said(ticket_number, seq), NULL,
    CASE WHEN code IS NULL THEN search ELSE search || array_to_tsvector(ARRAY['%(project_id)s:' || code]) END
FROM (
    SELECT
        ticket.id AS ticket_id, ticket_number, ai_resolved, seq,
        pg_temp.order_code(ticket_number, seq) AS code
    FROM conversations_ticket AS ticket, generate_series(1, message_count) AS seq
    WHERE project_id = %(project_id)s
) AS messages JOIN said ON said.id = pg_temp.text_of(ticket_number, seq);

UPDATE projects_project SET last_ticket_number = %(tickets)s WHERE id = %(project_id)s;
