/*
title    = "Owner gave in to pushed challenges"
severity = "high"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1621", "T1078"]
summary  = "{account} approved a challenge from {ip} after {denied} denied or ignored ones within an hour ({challenges} sent)"
why      = """
The owner denied challenges again and again, then one was approved. That is how accounts with a second factor fall.
"""
false_positives = """
An owner who taps "no" by mistake three times and gets in at last, on a device that the account has not known for a day.
"""
blind_spots = """
An approval after less than 3 denials, or more than an hour after them. A device that the account has known for a day.
"""
validation = """
Let an account deny 3 pushed challenges (`reason` mfa_denied) within an hour, then approve one.
"""
runbook = """
1. End all sessions of this `account` and force a new password; ask the owner by telephone which approval was theirs.
2. List everything with this `account` and `ip` from the approval on: `live_view`, `two_way_talk`, `mfa_change`, `email_change`, `share_grant`.
3. Enrol the second factor anew, with number matching.
"""
*/
WITH answers AS (
    SELECT
        time,
        action,
        outcome,
        account,
        ip,
        device,
        session,
        reason,
        user_agent,
        coalesce(device_known_days, 0) < 1 AS new_device,
        action = 'mfa_verify' AND outcome = 'failure' AS refused,
        coalesce(reason, '') IN ('mfa_denied', 'denied', 'push_denied', 'mfa_ignored', 'mfa_timeout', 'push_timeout', 'fraud_reported') AS push
    FROM events
    WHERE action IN ('mfa_challenge', 'mfa_verify')
        AND account <> ''
)
SELECT
    time,
    account,
    ip,
    device,
    session,
    user_agent,
    count(*) FILTER (WHERE refused AND push) OVER last_hour AS denied,
    count(*) FILTER (WHERE action = 'mfa_challenge') OVER last_hour AS challenges
FROM answers
WINDOW last_hour AS (
    PARTITION BY account
    ORDER BY time
    RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
)
QUALIFY action = 'mfa_verify'
    AND outcome = 'success'
    AND new_device
    AND (denied >= 3 OR challenges >= 8)
