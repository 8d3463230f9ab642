/*
title    = "Codes of the second factor are guessed"
severity = "high"
entity   = "account"
quiet    = "6 hours"
attack   = ["T1110.001", "T1621"]
summary  = "{wrong_codes_week} wrong codes for {account} within a week ({wrong_codes_hour} within the last hour) from {addresses} addresses; newest answer: {outcome}"
why      = """
Who asks for codes has the password already. People mistype a code once or twice; six digits can be found by trying, fast or at a few an hour.
A right code after many wrong ones belongs to the alert: then the account fell.
"""
false_positives = """
An owner whose clock is wrong, or who takes the code of another service: it goes on until somebody helps.
"""
blind_spots = """
Less than 6 wrong codes an hour, 10 a day and 20 a week. Codes that are tried on many accounts, one each. Services that end the session after three
wrong codes and log no more than that.
"""
validation = """
Answer 6 challenges of an account with a wrong code within an hour.
"""
runbook = """
1. List `login`, `mfa_challenge` and `mfa_verify` of this `account` over 24 hours: an `ip` or `device` that is new to it has the password.
2. If `outcome` is `success` after the wrong codes: end all sessions, force a new password, enrol the second factor anew.
3. If not: force a new password all the same, and limit codes to five for each login.
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
    outcome,
    user_agent,
    count(*) FILTER (WHERE refused AND NOT push) OVER last_hour AS wrong_codes_hour,
    count(*) FILTER (WHERE refused AND NOT push) OVER last_day AS wrong_codes_day,
    count(*) FILTER (WHERE refused AND NOT push) OVER last_week AS wrong_codes_week,
    count(DISTINCT ip) FILTER (WHERE refused AND NOT push) OVER last_week AS addresses
FROM answers
WINDOW
    last_hour AS (
        PARTITION BY account
        ORDER BY time
        RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
    ),
    last_day AS (
        PARTITION BY account
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    ),
    last_week AS (
        PARTITION BY account
        ORDER BY time
        RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
    )
QUALIFY action = 'mfa_verify'
    AND NOT push
    AND (wrong_codes_hour >= 6 OR wrong_codes_day >= 10 OR (refused AND wrong_codes_week >= 20))
