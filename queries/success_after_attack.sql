/*
title    = "Account let in an attacking address"
severity = "critical"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1110", "T1078"]
summary  = "{account} let in {ip} after it had failed on {failed_accounts_hour} accounts within the hour ({failed_accounts_day} within a day); {account_failures} failures of strange devices on this account within two days before"
why      = """
Thousands of failures are noise; the one success among them is a household with a stranger in it. This names the account that fell,
also when the right password is used the next day from a clean address, or from behind the owner's own network.
"""
false_positives = """
An owner without a known device behind the same address as an attacker; an owner on a new device who needed more than ten tries and no
reset; an owner who gets a new device on the day after strangers tried the account.
"""
blind_spots = """
A success before the address has failed on 5 accounts. A password found by one address at first try and used from another (see
unfamiliar_login). Guessing slower than ten tries in two days. A device id stolen with the password. Logins without an address.
"""
validation = """
Fail on an account ten times with new devices, then log in with one more.
"""
runbook = """
1. End all sessions of this `account`, force a new password and tell the owner by a channel that the intruder cannot read.
2. List everything with this `account` and `ip` (and its `session`) from the login on: `live_view`, `recording_view`, `two_way_talk`, `email_change`, `share_grant`.
3. List other successes of the same `ip` within the day: each is one more account that fell.
"""
*/
WITH logins AS (
    SELECT
        time,
        action,
        outcome,
        account,
        ip,
        CASE WHEN ip_prefix <> '' THEN ip_prefix ELSE ip END AS place,
        device,
        session,
        user_agent
    FROM events
    WHERE action IN ('login', 'session_refresh', 'password_reset')
        AND account <> ''
),
histories AS (
    SELECT
        *,
        max(time) FILTER (WHERE outcome = 'success' AND device <> '') OVER same_device AS device_seen_at,
        max(time) FILTER (WHERE outcome = 'success' AND place <> '') OVER same_place AS place_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success')
            OVER same_account AS account_seen_at,
        max(time) FILTER (WHERE action = 'password_reset' AND outcome = 'success') OVER two_days AS reset_at
    FROM logins
    WINDOW
        same_device AS (
            PARTITION BY account, device
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '24' HOUR PRECEDING
        ),
        same_place AS (
            PARTITION BY account, place
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '24' HOUR PRECEDING
        ),
        same_account AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '24' HOUR PRECEDING
        ),
        two_days AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '48' HOUR PRECEDING AND CURRENT ROW
        )
),
tries AS (
    SELECT
        *,
        device_seen_at IS NULL AND place_seen_at IS NULL AS strange,
        account_seen_at IS NOT NULL AND device_seen_at IS NULL AND (device <> '' OR place_seen_at IS NULL) AS strange_device
    FROM histories
    WHERE action = 'login'
        AND ip <> ''
)
SELECT
    time,
    account,
    ip,
    device,
    session,
    user_agent,
    count(DISTINCT account) FILTER (WHERE outcome = 'failure') OVER address_hour AS failed_accounts_hour,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER address_hour AS succeeded_accounts_hour,
    count(DISTINCT account) FILTER (WHERE outcome = 'failure') OVER address_day AS failed_accounts_day,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER address_day AS succeeded_accounts_day,
    count(*) FILTER (WHERE outcome = 'failure' AND strange_device) OVER account_days AS account_failures
FROM tries
WINDOW
    address_hour AS (
        PARTITION BY ip
        ORDER BY time
        RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING
    ),
    address_day AS (
        PARTITION BY ip
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING
    ),
    account_days AS (
        PARTITION BY account
        ORDER BY time
        RANGE BETWEEN INTERVAL '48' HOUR PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING
    )
QUALIFY outcome = 'success'
    AND (
        (
            strange
            AND (
                (failed_accounts_hour >= 5 AND failed_accounts_hour > 2 * succeeded_accounts_hour)
                OR (failed_accounts_day >= 10 AND failed_accounts_day > 2 * succeeded_accounts_day)
            )
        )
        OR (strange_device AND reset_at IS NULL AND account_failures >= 10)
    )
