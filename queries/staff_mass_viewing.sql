/*
title    = "Staff member watches many customers without a ticket"
severity = "critical"
entity   = "actor"
quiet    = "7 days"
attack   = ["T1078", "T1213"]
summary  = "{actor} ({actor_type}) watched {customers_day} customers within a day and {customers_month} within 30 days, {views_month} times, without a ticket that fits"
why      = """
An employee watched thousands of recordings of women in bedrooms and bathrooms for months, until a colleague noticed. A look into a home needs a
reason that somebody else can check: a ticket, for this customer. One that is used for more than 3 customers, is another customer's, was closed, or
was never opened counts as none.
"""
false_positives = """
A team whose tool does not log the ticket; quality work on test accounts. Both want a ticket or an account list, not a higher threshold. A forgotten
ticket is excused while the customer has an open case; where `ticket_open` is not logged, if one was used for this customer in the day before.
"""
blind_spots = """
Fewer than 5 customers a day and 15 in 30 days; one customer watched again and again (`staff_same_victim`). Tickets that the viewer opened: see
`staff_far_above_peers` and `staff_private_labels`.
"""
validation = """
As `employee`, view five accounts within a day without a ticket.
"""
runbook  = """
1. List `live_view`, `recording_view` and `recording_download` with this `actor` of the 30 days before `updated_at` whose `ticket` is empty or does not fit, by `account` and `resource_label`.
2. Look for rooms and customers that come back, and for hours outside the shift.
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
        max(time) FILTER (WHERE ticket <> '' AND actor <> account) OVER same_pair AS ticket_used_at,
        count(DISTINCT CASE WHEN action NOT IN ('ticket_open', 'ticket_close') THEN account END) OVER same_use AS ticket_customers
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
        same_use AS (
            PARTITION BY actor, ticket
            ORDER BY time
            RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW
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
    count(*) OVER last_day AS views_day,
    count(DISTINCT account) OVER last_day AS customers_day,
    count(*) OVER last_month AS views_month,
    count(DISTINCT account) OVER last_month AS customers_month
FROM judged
WHERE fault NOT IN ('', 'ticket of their own')
    OR (ticket <> '' AND ticket_customers > 3)
WINDOW
    last_day AS (
        PARTITION BY actor
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    ),
    last_month AS (
        PARTITION BY actor
        ORDER BY time
        RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW
    )
QUALIFY customers_day >= 5
    OR customers_month >= 15
