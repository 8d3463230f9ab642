/*
title    = "Staff member looks into homes at hours they never work"
severity = "high"
entity   = "actor"
quiet    = "7 days"
attack   = ["T1078", "T1213"]
summary  = "{actor} ({actor_type}) looked {looks} times into {customers} homes within a week at hours at which they do not work; last: {fault}"
why      = """
A look at three in the morning by somebody who works by day, on a case that no customer opened, is nobody's job. The hours are those of the person,
so shifts do not matter.
"""
false_positives = """
An emergency or a changed shift, with looks for which nobody opened a case. A case of the customer keeps it silent.
"""
blind_spots = """
Staff with fewer than 20 active hours on such days (working days, weekends). Who works at all hours. Night looks on open cases of customers.
"""
validation = """
After two weeks of work by day, as `employee`, view an account twice at night without a ticket.
"""
runbook  = """
1. Compare the times of these accesses with the roster and with the door's log; look at `ip` and `device`: was it this person?
2. List all accesses of this `actor` outside working hours in the last 90 days, by `account` and `resource_label`.
3. If it was somebody else, lock the staff account. If not, suspend the access, keep the log, and take it to whoever handles staff matters.
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
        hour_usual,
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
    hour_usual,
    count(*) OVER last_week AS looks,
    count(DISTINCT account) OVER last_week AS customers
FROM judged
WHERE fault <> ''
    AND hour_usual <= 0.05
WINDOW
    last_week AS (
        PARTITION BY actor
        ORDER BY time
        RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
    )
QUALIFY looks >= 2
