/*
title    = "Challenges of the second factor are pushed until the owner gives in"
severity = "medium"
entity   = "account"
quiet    = "6 hours"
attack   = ["T1621"]
summary  = "{denied} pushed challenges to {account} denied or ignored within an hour ({challenges} sent), from {ip}"
why      = """
Who has the password sends one push after the other, often at night, until the owner taps "yes" to have peace. Somebody who denies three
is not the one who logs in. The password is known to somebody else even if the owner never gives in.
"""
false_positives = """
An owner who taps "no" by mistake, or whose telephone is in another room while a partner logs in.
"""
blind_spots = """
Less than 3 an hour. Services that log neither the denial nor the challenge. An owner who says yes at once.
"""
validation = """
Let an account deny 3 pushed challenges (`reason` mfa_denied) within an hour.
"""
runbook = """
1. Ask the owner by telephone whether the login is theirs. If not, force a new password: somebody else has it.
2. List `login` of this `account` with `outcome = 'success'` and this `ip` in the hour before `started_at`; end these sessions.
3. Look for mfa_fatigue_approved with this account. Turn on number matching.
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
        reason,
        user_agent,
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
    reason,
    user_agent,
    count(*) FILTER (WHERE refused AND push) OVER last_hour AS denied,
    count(*) FILTER (WHERE action = 'mfa_challenge') OVER last_hour AS challenges
FROM answers
WINDOW last_hour AS (
    PARTITION BY account
    ORDER BY time
    RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
)
QUALIFY (refused AND push AND denied >= 3)
    OR (action = 'mfa_challenge' AND challenges >= 8)
