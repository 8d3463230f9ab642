/*
title    = "Staff member looks into homes with a ticket that does not fit"
severity = "high"
entity   = "actor"
quiet    = "7 days"
attack   = ["T1078", "T1213"]
summary  = "{actor} ({actor_type}) looked {looks} times into {customers} homes within 7 days with tickets that do not fit; last: {ticket}, {fault}"
why      = """
A ticket opens one door, for as long as the case is open. One that belongs to another customer, was closed more than an hour ago, or was never opened
by anybody is an excuse.
"""
false_positives = """
A mistyped number (one look is not enough), and work after the case was closed by mistake: let it be opened again, with a `ticket_open`.
Tickets of another system than the one that is logged: log both.
"""
blind_spots = """
Tickets older than 90 days. "Nobody opened it" is said only once `ticket_open` has been logged for 14 days. A ticket that the viewer opened
is not enough here: phone support does that; the rules about rooms, hours, numbers and the same victim count it.
"""
validation = """
Open a ticket for one account, and use it twice as `employee` for `live_view` of another.
"""
runbook  = """
1. Look up `ticket`: whose is it (`ticket_account`), who opened and closed it, and when?
2. List all accesses of this `actor` with this ticket and those of the days around, by `account` and `resource_label`.
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
    ticket_account,
    ticket_closed_at,
    count(*) OVER last_week AS looks,
    count(DISTINCT account) OVER last_week AS customers
FROM judged
WHERE fault IN ('ticket of another customer', 'closed ticket', 'ticket that nobody opened')
WINDOW
    last_week AS (
        PARTITION BY actor
        ORDER BY time
        RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
    )
QUALIFY looks >= 2
