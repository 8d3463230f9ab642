/*
title    = "One address looks for account names"
severity = "medium"
entity   = "ip"
quiet    = "2 hours"
attack   = ["T1589.001", "T1110"]
summary  = "{unknown_accounts} names without an account tried from {ip} within a day, {existing_accounts} names with one; {succeeded_accounts} accounts let in"
why      = """
Before passwords are tried, lists are cleaned: login and password reset tell whether a name has an account. An owner mistypes one name,
twice; nobody mistypes five. Names that answer otherwise are the next victims: they are in `accounts`.
"""
false_positives = """
A kiosk, a school or a carrier behind one address: it stays silent where as many accounts get in as names are wrong. A migration that
lost accounts.
"""
blind_spots = """
Less than 5 wrong names a day from an address. Services that log no reason, or one reason for a wrong name and a wrong password alike:
then password_spraying and spraying_from_many_sources see the failures only.
"""
validation = """
Ask for a password reset of 5 names that do not exist from one address within a day.
"""
runbook = """
1. List `login` and `password_reset` of this `ip` over 24 hours by `reason`: many `unknown_account` with few repeats confirm it.
2. Watch the names that do exist (`reason` other than `unknown_account`) for 7 days; ask for a second factor at their next login.
3. Make login and reset answer the same, and as fast, for names with and without account; challenge the `ip`.
"""
*/
WITH attempts AS (
    SELECT
        time,
        action,
        outcome,
        account,
        ip,
        reason,
        user_agent,
        outcome = 'failure'
            AND reason IN ('unknown_account', 'unknown_user', 'invalid_user', 'user_not_found', 'no_such_user') AS unknown
    FROM events
    WHERE action IN ('login', 'password_reset')
        AND ip <> ''
)
SELECT
    time,
    ip,
    account,
    action,
    reason,
    user_agent,
    count(DISTINCT account) FILTER (WHERE unknown) OVER last_day AS unknown_accounts,
    count(DISTINCT account) FILTER (WHERE outcome = 'failure' AND NOT unknown) OVER last_day AS existing_accounts,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER last_day AS succeeded_accounts
FROM attempts
WINDOW last_day AS (
    PARTITION BY ip
    ORDER BY time
    RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
)
QUALIFY outcome = 'failure'
    AND unknown_accounts >= 5
    AND unknown_accounts >= 3 * existing_accounts
    AND unknown_accounts > succeeded_accounts
