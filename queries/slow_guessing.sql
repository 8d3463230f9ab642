/*
title    = "Slow guessing on one account"
severity = "medium"
entity   = "account"
quiet    = "3 days"
attack   = ["T1110.001"]
summary  = "{failures} failed logins to {account} on {days} days of a week, from {addresses} addresses that are new to it; {successes} new ones got in"
why      = """
One account is guessed a few times a day for weeks, below every lock-out. An owner who forgot a password gives up or resets it the same
day; failures from places and devices that the account does not know, day after day, are somebody else.
"""
false_positives = """
An app on an old tablet in a holiday home, with an old password, that tries every day. A former partner who does not give up. An owner who
forgets the password anew each day on new devices gets in each time: ten failures for each success are left out.
"""
blind_spots = """
Less than 12 failures a week, or on less than 3 days. Guessing from a network, provider or device that the account knows. Many accounts in turn
are left to password_spraying. Fast guessing is left to brute_force and distributed_guessing.
"""
validation = """
Fail 5 times a day for 3 days on an account, from an address and device that it never used.
"""
runbook = """
1. List failed `login` events of this `account` over the 7 days before `updated_at` by `ip` and `user_agent`: even gaps and many clients confirm it.
2. Look for `outcome = 'success'` from one of these `ips`, or from a new `device`, after `started_at`: if there is one, end all sessions and force a new password.
3. Tell the owner; ask for a second factor at the next login; challenge the `ips`.
"""
*/
WITH strangers AS (
    SELECT
        time,
        account,
        ip,
        outcome,
        reason,
        user_agent,
        outcome = 'failure'
            AND coalesce(reason, '') NOT IN ('service_unavailable', 'server_error', 'timeout')
            AND coalesce(device_known_days, 0) = 0
            AND coalesce(ip_known_days, 0) = 0 AS refused
    FROM events
    WHERE action = 'login'
        AND account <> ''
        AND coalesce(device_known_days, 0) < 1
        AND coalesce(ip_known_days, 0) < 1
        AND coalesce(prefix_known_days, 0) < 1
        AND coalesce(asn_known_days, 0) < 1
)
SELECT
    time,
    account,
    ip,
    outcome,
    reason,
    user_agent,
    count(*) FILTER (WHERE refused) OVER last_week AS failures,
    count(DISTINCT date_trunc('day', time)) FILTER (WHERE refused) OVER last_week AS days,
    count(DISTINCT ip) FILTER (WHERE refused) OVER last_week AS addresses,
    count(*) FILTER (WHERE outcome = 'success') OVER last_week AS successes
FROM strangers
WINDOW last_week AS (
    PARTITION BY account
    ORDER BY time
    RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
)
QUALIFY (refused OR outcome = 'success')
    AND failures >= 12
    AND days >= 3
    AND failures > 10 * successes
