/*
title    = "One client tries many accounts from many addresses"
severity = "high"
entity   = "fingerprint"
quiet    = "12 hours"
attack   = ["T1110.003", "T1110.004"]
summary  = "{failed_accounts} accounts refused a client with fingerprint {fingerprint} within a day, from {addresses} addresses; {succeeded_accounts} let it in"
why      = """
A program works through a list from many addresses (a botnet, residential proxies), one or two tries from each, so that no address stands out.
The program is the same: one TLS fingerprint, or user agent where there is none. Only attempts from devices and networks that are new to the account
count; of honest people with a new device about as many get in as fail.
"""
false_positives = """
A release of an app with a new fingerprint that fails for all who install it anew; a partner's program that moved to new servers with expired
credentials. Failures of the service itself do not count.
"""
blind_spots = """
A fingerprint that many honest clients share, or another one for each try (see rotating_addresses, password_spraying, login_failure_surge).
Less than 8 accounts a day. Logs with neither fingerprint nor user agent. An attacker who gets in to a third of what he tries.
"""
validation = """
From 5 addresses, fail on 8 accounts that never used them, with one fingerprint, within a day.
"""
runbook = """
1. List `login` and `password_reset` with this `tls_fingerprint` (or `user_agent`) over the 24 hours before `updated_at`: new names each time confirm it.
2. Of these, list `outcome = 'success'`: treat the accounts as taken, end their sessions and force a new password (see shared_device_or_fingerprint).
3. Challenge or block the fingerprint, rather than the `ips`: they are other people's.
"""
*/
WITH strangers AS (
    SELECT
        time,
        action,
        outcome,
        account,
        ip,
        asn,
        as_org,
        device,
        session,
        reason,
        user_agent,
        CASE WHEN tls_fingerprint <> '' THEN tls_fingerprint ELSE user_agent END AS fingerprint,
        outcome = 'failure' AND coalesce(reason, '') NOT IN ('service_unavailable', 'server_error', 'timeout') AS refused
    FROM events
    WHERE action IN ('login', 'password_reset')
        AND account <> ''
        AND coalesce(device_known_days, 0) < 1
        AND coalesce(ip_known_days, 0) < 1
        AND coalesce(prefix_known_days, 0) < 1
)
SELECT
    time,
    fingerprint,
    account,
    ip,
    outcome,
    reason,
    user_agent,
    count(DISTINCT account) FILTER (WHERE refused) OVER by_fingerprint AS failed_accounts,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER by_fingerprint AS succeeded_accounts,
    count(DISTINCT ip) FILTER (WHERE refused) OVER by_fingerprint AS addresses
FROM strangers
WHERE fingerprint <> ''
WINDOW by_fingerprint AS (
    PARTITION BY fingerprint
    ORDER BY time
    RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
)
QUALIFY (refused OR outcome = 'success')
    AND failed_accounts >= 8
    AND addresses >= 5
    AND failed_accounts > 3 * succeeded_accounts
