/*
title    = "Staff member looks into homes without a ticket"
severity = "high"
entity   = "actor"
quiet    = "7 days"
attack   = ["T1078", "T1213"]
summary  = "{actor} ({actor_type}) looked {looks} times into {customers} homes within 7 days without a ticket, and without an open case of the customer"
why      = """
A look into a home needs a reason that somebody else can check. A ticket that was forgotten is excused while the customer has an open case, or had one
until an hour ago.
"""
false_positives = """
Tools that do not log the ticket, and quality work on test accounts: make them log one. Where `ticket_open` is not logged, a forgotten ticket is excused
only if the viewer used one for this customer in the day before.
"""
blind_spots = """
Two looks a week. Customers with an open case, whoever works on it. Any text in `ticket` passes here; `staff_foreign_or_closed_ticket` asks what it is.
"""
validation = """
As `employee`, send three `live_view` without `ticket` for accounts without a `ticket_open`.
"""
runbook  = """
1. List the accesses with this `actor` and an empty `ticket` of the 30 days before `updated_at`, by `account` and `resource_label`.
2. Ask the ticket system for cases of these accounts around these times.
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
    count(*) OVER last_week AS looks,
    count(DISTINCT account) OVER last_week AS customers
FROM judged
WHERE fault = 'no ticket'
WINDOW
    last_week AS (
        PARTITION BY actor
        ORDER BY time
        RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
    )
QUALIFY looks >= 3
