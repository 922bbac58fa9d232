-- One project's persons, tickets and messages, every row computed from its number alone, so that
-- two runs measure the same data. Parameters: project_id, tickets, now, agents, roles.

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
CREATE OR REPLACE FUNCTION pg_temp.opened(n int) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT %(now)s::timestamptz - interval '1 hour'
        - interval '365 days' * (%(tickets)s - n) / %(tickets)s
$$;

CREATE OR REPLACE FUNCTION pg_temp.said(n int, seq int) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$ SELECT pg_temp.opened(n) + interval '7 minutes' * (seq - 1) $$;

CREATE OR REPLACE FUNCTION pg_temp.ticket_id(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_temp.id('001', %(project_id)s, n, pg_temp.opened(n))
$$;

CREATE OR REPLACE FUNCTION pg_temp.first_name(n int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY['Amara', 'Björn', 'Chiara', 'Dmitri', 'Élise', 'Farid', 'Greta', 'Hana',
        'Ibrahim', 'Jing', 'Kofi', 'Leila', 'Mateo', 'Noor', 'Olga', 'Priya'])[
        1 + pg_temp.dice(n, 1, 16)]
$$;

-- One to four sentences, 60 to 500 characters.
CREATE OR REPLACE FUNCTION pg_temp.words(n int, seq int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg((ARRAY[
        'Since yesterday the export stops at 40 %% and then says that the session has expired.',
        'I was charged twice for the same month, the second time on the 3rd.',
        'Could you please tell me where I can change the address on the invoice?',
        'The app closes by itself as soon as I open the settings on my phone.',
        'We have tried another browser and the same thing happens there.',
        'Thank you for the quick answer, that has helped a lot!',
        'A colleague of mine can not log in since her address was changed.',
        'I have attached a picture of what I see, and the order is number 48-2291.',
        'Can you have a look at it, and let us know when it works again?',
        'Our import of 12,000 rows ended with the message "unexpected end of input" in row 7,344.',
        'It would be great if the report could be filtered by team as well as by date.',
        'Is there a way to get the refund on the card, and not as a voucher?',
        'The link in the confirmation mail leads to a page that does not exist.',
        'We will check this with the people who built it, and come back to you tomorrow.',
        'Please clear the cache, log out and in again, and tell us whether it still happens.',
        'The parcel was to come on Tuesday, and the tracking has not moved for five days.'
    ])[1 + pg_temp.dice(n * 8 + seq, 10 + part, 16)], ' ' ORDER BY part)
    FROM generate_series(1, 1 + pg_temp.dice(n * 8 + seq, 9, 4)) AS part
$$;

INSERT INTO projects_person (id, project_id, properties, is_identified, created_at)
SELECT
    pg_temp.id('000', %(project_id)s, n, %(now)s::timestamptz - interval '400 days'),
    %(project_id)s,
    jsonb_build_object(
        'name', pg_temp.first_name(n) || ' ' || initcap(left(md5(n::text), 7)),
        'email', lower(left(md5(n::text), 7)) || n || '@customers.example',
        'plan', (ARRAY['free', 'team', 'business'])[1 + pg_temp.dice(n, 2, 3)],
        'company', 'Company ' || pg_temp.dice(n, 3, 500),
        'seats', 1 + pg_temp.dice(n, 4, 80),
        'country', (ARRAY['DE', 'FR', 'US', 'BR', 'IN', 'JP'])[1 + pg_temp.dice(n, 5, 6)],
        '$browser', (ARRAY['Chrome', 'Firefox', 'Safari'])[1 + pg_temp.dice(n, 6, 3)],
        'signed_up_at', (%(now)s::timestamptz - interval '1 day' * pg_temp.dice(n, 7, 900))::date
    ),
    TRUE,
    %(now)s::timestamptz - interval '400 days'
FROM generate_series(1, %(persons)s) AS n;

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

-- Nine of ten are resolved, and few have messages that the team has not read.
INSERT INTO conversations_ticket (
    id, project_id, ticket_number, channel_source, channel_detail, distinct_id, identity_verified,
    status, priority, assignee_user_id, assignee_role_id, anonymous_traits, ai_resolved,
    escalation_reason, tags, sla_due_at, snoozed_until, session_id, session_context,
    email_subject, email_from, created_at, updated_at, resolved_at, message_count,
    last_message_at, last_message_text, last_seq, team_read_seq, customer_read_seq,
    marked_unread, unread_team_count, unread_customer_count
)
SELECT
    pg_temp.ticket_id(n), %(project_id)s, n, channel,
    CASE channel WHEN 'widget' THEN 'widget_embedded' END,
    CASE WHEN pg_temp.dice(n, 20, 10) = 0 THEN 'anonymous_' || left(md5(n::text), 20)
        ELSE 'user_' || left(md5((1 + pg_temp.dice(n, 21, %(persons)s))::text), 20) END,
    CASE channel WHEN 'widget' THEN mod(n, 4) > 0 END,
    status,
    (ARRAY['low', 'medium', 'medium', 'high', 'critical', NULL, NULL])[
        1 + pg_temp.dice(n, 22, 7)],
    CASE WHEN assigned < 4 THEN (%(agents)s::bigint[])[1 + mod(n, %(agent_count)s)] END,
    CASE WHEN assigned BETWEEN 4 AND 5 THEN (%(roles)s::uuid[])[1 + mod(n, %(role_count)s)] END,
    jsonb_build_object('name', pg_temp.first_name(n), 'email', 'visitor' || n || '@mail.example'),
    pg_temp.dice(n, 23, 20) = 0, NULL,
    (ARRAY['billing', 'bug', 'delivery', 'login', 'vip'])[
        1 + pg_temp.dice(n, 24, 5):1 + pg_temp.dice(n, 24, 5) + pg_temp.dice(n, 25, 4) - 1],
    CASE WHEN status <> 'resolved' THEN pg_temp.opened(n) + interval '2 days' END, NULL,
    CASE channel WHEN 'widget' THEN left(md5('session' || n), 32) END,
    CASE channel WHEN 'widget' THEN jsonb_build_object(
        'url', 'https://shop.example/orders/' || n, 'referrer', 'https://search.example/'
    ) ELSE '{}' END,
    CASE channel WHEN 'email' THEN left(pg_temp.words(n, 0), 80) END,
    CASE channel WHEN 'email' THEN 'visitor' || n || '@mail.example' END,
    pg_temp.opened(n), pg_temp.said(n, messages),
    CASE status WHEN 'resolved' THEN pg_temp.said(n, messages) END,
    messages, pg_temp.said(n, messages), left(pg_temp.words(n, messages), 500), messages,
    CASE WHEN is_unread THEN 0 ELSE messages END, messages,
    FALSE, CASE WHEN is_unread THEN (messages + 1) / 2 ELSE 0 END, 0
FROM (
    SELECT
        n, status,
        1 + pg_temp.dice(n, 26, 5) AS messages,
        pg_temp.dice(n, 27, 10) AS assigned,
        (ARRAY['widget', 'widget', 'email', 'api', 'slack'])[1 + pg_temp.dice(n, 28, 5)] AS channel,
        pg_temp.dice(n, 29, CASE WHEN status IN ('new', 'open') THEN 2 ELSE 200 END) = 0
            AS is_unread
    FROM (
        SELECT n, CASE
            WHEN place < 920 THEN 'resolved' WHEN place < 950 THEN 'open'
            WHEN place < 970 THEN 'pending' WHEN place < 980 THEN 'on_hold' ELSE 'new'
        END AS status
        FROM (
            SELECT n, pg_temp.dice(n, 30, 1000) AS place
            FROM generate_series(1, %(tickets)s) AS n
        ) AS numbers
    ) AS statuses
) AS tickets;

-- Customer and team in turn, the customer first.
INSERT INTO conversations_message (
    id, project_id, ticket_id, seq, author_type, author_name, content, rich_content, is_private,
    created_at, deleted_at
)
SELECT
    pg_temp.id(
        lpad(to_hex(16 + seq), 3, '0'), %(project_id)s, ticket_number,
        pg_temp.said(ticket_number, seq)
    ),
    %(project_id)s, id, seq,
    CASE WHEN mod(seq, 2) = 1 THEN 'customer' WHEN ai_resolved THEN 'AI' ELSE 'support' END,
    CASE WHEN mod(seq, 2) = 1 THEN pg_temp.first_name(ticket_number) ELSE 'Support' END,
    pg_temp.words(ticket_number, seq), NULL, FALSE, pg_temp.said(ticket_number, seq), NULL
FROM conversations_ticket, generate_series(1, message_count) AS seq
WHERE project_id = %(project_id)s
ORDER BY ticket_number, seq;

UPDATE projects_project SET last_ticket_number = %(tickets)s WHERE id = %(project_id)s;
