/*
title    = "Staff member downloads recordings by the dozen"
severity = "high"
entity   = "actor"
quiet    = "24 hours"
attack   = ["T1078", "T1213", "T1567"]
summary  = "{actor} ({actor_type}) downloaded {recordings} recordings of {customers} customers within a day, {unexplained} times without a case of the customer"
why      = """
A case needs one recording or two; a collection needs many. What has been downloaded is out of reach for any deletion.
"""
false_positives = """
Requests by courts and police, if whoever answers them opens the case alone, and exports that a customer asked for on the telephone. Let somebody else open the case.
"""
blind_spots = """
Nine a day. Copies made by filming the screen, or with `recording_view`. Downloads on an open case of the customer, fewer than fifty a day.
"""
validation = """
As `employee`, download twenty different recordings within a day with a ticket that you opened, or ten without any.
"""
runbook  = """
1. List the downloads of this `actor` of the last 30 days by `account`, `resource_label` and `ticket`; find out where the files went.
2. Ask for the order: a warrant, a customer's request. Without one, suspend the access and secure the workstation.
3. Take it to whoever answers for privacy: customers may have to be told.
"""
*/
WITH accesses AS (
    SELECT
        time,
        action,
        account,
        actor,
        actor_type,
        ip,
        ticket,
        resource,
        resource_label,
        last_value(account) FILTER (WHERE action = 'ticket_open') OVER same_ticket AS ticket_account,
        last_value(actor) FILTER (WHERE action = 'ticket_open') OVER same_ticket AS ticket_opened_by,
        max(time) FILTER (WHERE action = 'ticket_open') OVER same_ticket AS ticket_opened_at,
        max(time) FILTER (WHERE action = 'ticket_close') OVER same_ticket AS ticket_closed_at,
        max(time) FILTER (
            WHERE action = 'ticket_open'
                AND actor_type NOT IN ('employee', 'contractor')
        ) OVER same_account AS case_opened_at,
        max(time) FILTER (WHERE action = 'ticket_close') OVER same_account AS case_closed_at,
        max(time) FILTER (WHERE action = 'ticket_open') OVER long_ago AS tickets_known_at,
        max(time) FILTER (WHERE ticket <> '' AND actor <> account) OVER same_pair AS ticket_used_at
    FROM events
    WHERE outcome <> 'failure'
        AND (
            action IN ('ticket_open', 'ticket_close')
            OR (
                action IN ('recording_download')
                AND actor_type IN ('employee', 'contractor')
                AND actor <> ''
                AND actor <> account
            )
        )
    WINDOW
        same_ticket AS (
            PARTITION BY ticket
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND CURRENT ROW
        ),
        same_account AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '14' DAY PRECEDING AND CURRENT ROW
        ),
        same_pair AS (
            PARTITION BY actor, account
            ORDER BY time
            RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND CURRENT ROW
        ),
        long_ago AS (
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '14' DAY PRECEDING
        )
),
judged AS (
    SELECT
        *,
        CASE
            WHEN coalesce(ticket, '') = '' THEN CASE
                WHEN case_opened_at > coalesce(case_closed_at, case_opened_at - INTERVAL '1' DAY)
                    OR case_closed_at >= time - INTERVAL '1' HOUR
                    OR (tickets_known_at IS NULL AND ticket_used_at IS NOT NULL) THEN ''
                ELSE 'no ticket'
            END
            WHEN ticket_account <> account THEN 'ticket of another customer'
            WHEN ticket_closed_at > coalesce(ticket_opened_at, ticket_closed_at - INTERVAL '1' DAY)
                AND ticket_closed_at < time - INTERVAL '1' HOUR THEN 'closed ticket'
            WHEN ticket_opened_by = actor THEN 'ticket of their own'
            WHEN ticket_opened_at IS NULL AND tickets_known_at IS NOT NULL THEN 'ticket that nobody opened'
            ELSE ''
        END AS fault
    FROM accesses
    WHERE action NOT IN ('ticket_open', 'ticket_close')
)
SELECT
    time,
    actor,
    actor_type,
    account,
    ip,
    action,
    resource,
    resource_label,
    ticket,
    fault,
    count(DISTINCT resource) OVER last_day AS recordings,
    count(DISTINCT account) OVER last_day AS customers,
    count(*) FILTER (WHERE fault <> '') OVER last_day AS unexplained
FROM judged
WINDOW
    last_day AS (
        PARTITION BY actor
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    )
QUALIFY unexplained >= 10
    OR recordings >= 50
