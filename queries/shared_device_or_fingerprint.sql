/*
title    = "Account let in a client that many other accounts refused"
severity = "high"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1110.003", "T1110.004", "T1078"]
summary  = "{account} let in {ip} with a client that {failed_accounts} other accounts refused within a day ({fingerprint}, device {device})"
why      = """
The one success among the failures of a list is a household with a stranger in it. The address may be clean: the program that came through
it (TLS fingerprint or user agent) or the device id has failed on many accounts that never knew it. This names the account that fell.
"""
false_positives = """
An owner with a new client in a new place, whose client looks like the attacker's: a rare browser that both use.
"""
blind_spots = """
The first successes of a list, before it failed on 5 accounts. A fingerprint that many honest clients share: of these about as many get in
as fail. Another fingerprint and device for each try. A login from a device or network that the account has known for a day.
"""
validation = """
Fail on 5 accounts with one fingerprint from new addresses within a day, then log in to another account with it.
"""
runbook = """
1. End all sessions of this `account`, force a new password, and tell the owner by a channel that the intruder cannot read.
2. List everything with this `account` and `session` from the login on: `live_view`, `recording_view`, `two_way_talk`, `email_change`, `share_grant`.
3. List all accounts with this `tls_fingerprint` or `device` over 24 hours; other successes fell as well.
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
    account,
    ip,
    device,
    session,
    fingerprint,
    user_agent,
    count(DISTINCT account) FILTER (WHERE refused) OVER by_fingerprint AS failed_accounts,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER by_fingerprint AS succeeded_accounts,
    count(DISTINCT ip) FILTER (WHERE refused) OVER by_fingerprint AS addresses,
    count(DISTINCT account) FILTER (WHERE refused AND device <> '') OVER by_device AS device_failed_accounts,
    count(DISTINCT account) FILTER (WHERE device <> '') OVER by_device AS device_accounts
FROM strangers
WINDOW
    by_fingerprint AS (
        PARTITION BY fingerprint
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    ),
    by_device AS (
        PARTITION BY device
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    )
QUALIFY action = 'login'
    AND outcome = 'success'
    AND (
        (fingerprint <> '' AND failed_accounts >= 5 AND failed_accounts > 3 * succeeded_accounts)
        OR device_failed_accounts >= 3
    )
