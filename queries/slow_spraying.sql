/*
title    = "Slow password spraying from one address"
severity = "medium"
entity   = "ip"
quiet    = "3 days"
attack   = ["T1110.003"]
summary  = "{failed_accounts} accounts refused {ip} on {days} days of a week, never more than a few a day; {succeeded_accounts} new ones let it in"
why      = """
Two or three accounts a day from one address, for weeks, below every daily counter. Only attempts from devices and networks that the account did not
know a day ago count. Honest people who fail on a new address mostly get in there soon after; hardly anybody gets in here.
"""
false_positives = """
A public computer (library, hotel) at which guests fail and give up. A carrier exit stays silent while as many new customers get in as fail.
"""
blind_spots = """
Less than 8 accounts a week, or on less than 3 days. An address for each try (see spraying_from_many_sources). From 5 accounts a day on it is left to
password_spraying.
"""
validation = """
Fail on 3 accounts a day, for 3 days, from one address that is new to them.
"""
runbook = """
1. List failed `login` events of this `ip` over the 7 days before `updated_at`: other names each day, even gaps, one `user_agent` confirm it.
2. Of the same time list `outcome = 'success'` from this `ip`: treat the accounts as taken, end their sessions and force a new password.
3. List other addresses with the same `tls_fingerprint` or `user_agent` and few failures a day; challenge them all.
"""
*/
WITH strangers AS (
    SELECT
        time,
        outcome,
        account,
        ip,
        reason,
        user_agent,
        outcome = 'failure' AND coalesce(reason, '') NOT IN ('service_unavailable', 'server_error', 'timeout') AS refused
    FROM events
    WHERE action = 'login'
        AND ip <> ''
        AND coalesce(device_known_days, 0) < 1
        AND coalesce(ip_known_days, 0) < 1
        AND coalesce(prefix_known_days, 0) < 1
)
SELECT
    time,
    ip,
    account,
    outcome,
    reason,
    user_agent,
    count(*) FILTER (WHERE refused) OVER last_week AS failures,
    count(DISTINCT account) FILTER (WHERE refused) OVER last_week AS failed_accounts,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER last_week AS succeeded_accounts,
    count(DISTINCT date_trunc('day', time)) FILTER (WHERE refused) OVER last_week AS days,
    count(DISTINCT account) FILTER (WHERE refused) OVER last_day AS failed_accounts_day
FROM strangers
WINDOW
    last_day AS (
        PARTITION BY ip
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    ),
    last_week AS (
        PARTITION BY ip
        ORDER BY time
        RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
    )
QUALIFY (refused OR outcome = 'success')
    AND failed_accounts_day < 5
    AND failed_accounts >= 8
    AND days >= 3
    AND failures <= 3 * failed_accounts
    AND failed_accounts > 2 * succeeded_accounts
