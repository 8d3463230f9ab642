/*
title    = "Staff member watches many customers without a ticket"
severity = "critical"
entity   = "actor"
quiet    = "7 days"
attack   = ["T1078", "T1213"]
summary  = "{actor} ({actor_type}) watched {customers_day} customers within a day and {customers_month} within 30 days, {views_month} times, without a ticket that fits"
why      = """
An employee watched thousands of recordings of women in bedrooms and bathrooms for months, until a colleague noticed. A look into a home needs
a reason that somebody else can check: a ticket, for this customer. A ticket that is used for more than 3 customers counts as none.
"""
false_positives = """
A team whose tool does not log the ticket; quality work on test accounts. Both want a ticket or an account list, not a higher threshold.
"""
blind_spots = """
Fewer than 5 customers a day and 15 in 30 days. One customer watched again and again. Tickets that are made up: the ticket system is not asked.
"""
runbook = """
1. List `live_view`, `recording_view` and `recording_download` with this `actor` and an empty `ticket` in the 30 days before `updated_at`, by `account` and `resource_label`.
2. Look for rooms and customers that come back, and for hours outside the shift.
3. Suspend the access, keep the log, and take it to whoever handles staff matters: do not ask the person first.
"""
*/
WITH views AS (
    SELECT
        time,
        actor,
        actor_type,
        account,
        ip,
        action,
        resource_label,
        ticket,
        count(DISTINCT account) OVER same_ticket AS ticket_customers
    FROM events
    WHERE actor_type IN ('employee', 'contractor')
        AND action IN ('live_view', 'recording_view', 'recording_download')
        AND outcome <> 'failure'
        AND actor <> ''
        AND actor <> account
    WINDOW same_ticket AS (
        PARTITION BY actor, ticket
        ORDER BY time
        RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW
    )
),
unjustified AS (
    SELECT
        *
    FROM views
    WHERE ticket IS NULL
        OR ticket = ''
        OR ticket_customers > 3
)
SELECT
    time,
    actor,
    actor_type,
    account,
    ip,
    action,
    resource_label,
    count(*) OVER last_day AS views_day,
    count(DISTINCT account) OVER last_day AS customers_day,
    count(*) OVER last_month AS views_month,
    count(DISTINCT account) OVER last_month AS customers_month
FROM unjustified
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
