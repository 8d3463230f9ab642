/*
title    = "Staff member looks into a home now and then, for weeks, without a reason"
severity = "high"
entity   = "actor"
quiet    = "14 days"
attack   = ["T1078", "T1213"]
summary  = "{actor} ({actor_type}) looked into {customers} homes on {days} days within 60 days without a ticket that fits"
why      = """
One look a day stays below every daily threshold, and months of it are thousands of looks. Days are counted on which somebody looked without a ticket
that fits, and without an open case of the customer.
"""
false_positives = """
Staff who often forget the ticket, where `ticket_open` is not logged: a forgotten one counts then, unless the viewer used one for this customer in the day before.
"""
blind_spots = """
Fewer than five such days in 60. Customers who have an open case at that time. Tickets that the viewer opened do not count here.
"""
validation = """
As `employee`, view one account a week for five weeks without a ticket.
"""
runbook  = """
1. List all accesses of this `actor` of the last 90 days whose `ticket` is empty, closed or another customer's.
2. Look for what they have in common: rooms, names, hours, the same few customers.
3. Suspend the access, keep the log, and take it to whoever handles staff matters: do not ask the person first.
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
                action IN ('live_view', 'recording_view', 'recording_download', 'two_way_talk', 'siren')
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
    count(DISTINCT account) OVER two_months AS customers,
    count(DISTINCT date_trunc('day', time)) OVER two_months AS days
FROM judged
WHERE fault NOT IN ('', 'ticket of their own')
WINDOW
    two_months AS (
        PARTITION BY actor
        ORDER BY time
        RANGE BETWEEN INTERVAL '60' DAY PRECEDING AND CURRENT ROW
    )
QUALIFY days >= 5
