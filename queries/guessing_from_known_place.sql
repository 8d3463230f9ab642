/*
title    = "Account guessed by a new device at a place that it knows"
severity = "medium"
entity   = "account"
quiet    = "6 hours"
attack   = ["T1110.001"]
summary  = "{failures} failed logins to {account} within an hour from a device that never got in, at {ip}, which the account or its neighbours use"
why      = """
Whoever sits behind the carrier exit of the victim, or in the same house, comes from an address that the account knows. The device is new,
and it does not stop: people who forgot their password reset it after a few tries.
"""
false_positives = """
A child or guest with a new device who plays with the login; an owner with a new telephone that repeats an old password all evening.
"""
blind_spots = """
Less than 12 failures an hour. Clients that send no device id. A device that was let in before.
"""
validation = """
Log in to an account from an address on some days, then fail 12 times within an hour from there with another device id.
"""
runbook = """
1. Ask the owner whether the device (`user_agent`) is theirs: in the same house this is often a private matter. Be careful whom you tell.
2. Look for `outcome = 'success'` of the same `device` after the failures: if the owner does not know it, end all sessions and force a new password.
3. Ask for a second factor at the next login.
"""
*/
WITH refusals AS (
    SELECT
        time,
        account,
        ip,
        device,
        reason,
        user_agent
    FROM events
    WHERE action = 'login'
        AND outcome = 'failure'
        AND account <> ''
        AND device <> ''
        AND coalesce(reason, '') NOT IN ('service_unavailable', 'server_error', 'timeout')
        AND coalesce(device_known_days, 0) = 0
        AND (prefix_known_days >= 1 OR ip_accounts >= 1)
)
SELECT
    time,
    account,
    ip,
    device,
    reason,
    user_agent,
    count(*) OVER last_hour AS failures,
    count(DISTINCT device) OVER last_hour AS devices
FROM refusals
WINDOW last_hour AS (
    PARTITION BY account
    ORDER BY time
    RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 12
