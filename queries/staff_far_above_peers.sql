/*
title    = "Staff member touches many times the customers of a usual day"
severity = "medium"
entity   = "actor"
quiet    = "24 hours"
attack   = ["T1078", "T1213"]
summary  = "{actor} ({actor_type}) touched {customers} customers within a day, {unexplained} of them without a case of the customer; usual are {staff_accounts_usual}, for colleagues {peer_accounts_usual}"
why      = """
Curiosity and data theft show in numbers before anybody reads a ticket. The measure is the person's own past and that of colleagues, not a fixed
number.
"""
false_positives = """
Campaigns and recalls in which staff call customers by themselves. Up to three times the usual number with cases of customers stays silent.
"""
blind_spots = """
Everybody is busy at once. The first ten days of a service, when nothing is usual. Where `ticket_open` is not logged, accesses with any ticket count
as explained: then it takes four times the usual number.
"""
validation = """
After weeks with few customers a day, as `employee`, open tickets for twenty customers and view each.
"""
runbook  = """
1. List the accesses of this `actor` on that day by `account`, `action`, `resource_label` and `ticket`; which tickets did the person open?
2. Ask the team lead whether there was a campaign. Compare with colleagues of the same shift.
3. If nothing explains it, suspend the access, keep the log, and take it to whoever handles staff matters.
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
        staff_accounts_usual,
        peer_accounts_usual,
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
    staff_accounts_usual,
    peer_accounts_usual,
    count(DISTINCT account) OVER last_day AS customers,
    count(DISTINCT CASE WHEN fault <> '' THEN account END) OVER last_day AS unexplained
FROM judged
WINDOW
    last_day AS (
        PARTITION BY actor
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    )
QUALIFY (unexplained >= 8 AND customers >= 2 * greatest(staff_accounts_usual, peer_accounts_usual))
    OR (customers >= 12 AND customers >= 4 * greatest(staff_accounts_usual, peer_accounts_usual))
