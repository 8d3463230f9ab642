/*
title    = "Many accounts fail at once, from many new places"
severity = "medium"
entity   = "action"
quiet    = "3 hours"
attack   = ["T1110.003", "T1110.004"]
summary  = "{failed_accounts} accounts refused {addresses} addresses that are new to them within an hour; {succeeded_accounts} let in a new one"
why      = """
A list is tried with another address, agent and fingerprint each time: no key stands out, only the sum. An outage or a bad release fails for people
on their own devices and networks; these do not count, nor do failures of the service itself. Of honest people in new places about as many get in as fail.
"""
false_positives = """
The first days of a stream, when no device is known. Many new customers in one hour whose sign-up is broken.
"""
blind_spots = """
Less than 20 accounts an hour in the whole service: a large service has more honest failures and hides more. A flood of
honest new devices at the same time.
"""
validation = """
Fail on 20 accounts from 8 addresses that are new to them, within an hour, while nobody new gets in.
"""
runbook = """
1. List failed `login` events of the last hour from clients that are new to the account: by `asn`, `user_agent`, `reason`; which part is one attack?
2. Of the same clients list `outcome = 'success'`: look at each, and at alerts about these accounts.
3. Ask for a second factor at every login from a new place until it is over.
"""
*/
WITH strangers AS (
    SELECT
        time,
        action,
        outcome,
        account,
        ip,
        reason,
        user_agent,
        service_failure_ratio,
        service_failure_ratio_usual,
        outcome = 'failure' AND coalesce(reason, '') NOT IN ('service_unavailable', 'server_error', 'timeout') AS refused
    FROM events
    WHERE action = 'login'
        AND account <> ''
        AND coalesce(device_known_days, 0) < 1
        AND coalesce(ip_known_days, 0) < 1
        AND coalesce(prefix_known_days, 0) < 1
)
SELECT
    time,
    action,
    account,
    ip,
    outcome,
    reason,
    user_agent,
    round(service_failure_ratio, 2) AS failure_ratio,
    round(service_failure_ratio_usual, 2) AS failure_ratio_usual,
    count(DISTINCT account) FILTER (WHERE refused) OVER last_hour AS failed_accounts,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER last_hour AS succeeded_accounts,
    count(DISTINCT ip) FILTER (WHERE refused) OVER last_hour AS addresses
FROM strangers
WINDOW last_hour AS (
    PARTITION BY action
    ORDER BY time
    RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
)
QUALIFY (refused OR outcome = 'success')
    AND failed_accounts >= 20
    AND addresses >= 8
    AND failed_accounts > 3 * succeeded_accounts
