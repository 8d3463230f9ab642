/*
title    = "Credential stuffing from one address"
severity = "high"
entity   = "ip"
quiet    = "30 minutes"
attack   = ["T1110.004"]
summary  = "{failures} failed logins to {failed_accounts} accounts from {ip} within 10 minutes, {succeeded_accounts} accounts let in"
why      = """
Lists of leaked names and passwords are tried one after the other, fast, from one address. People type a wrong password for
one account or two; nobody owns ten. More than 55,000 customers of one camera maker lost their accounts this way.
"""
false_positives = """
An office, a campus or a mobile carrier behind one address while logins fail for everybody (an outage, a bad app release).
In normal hours such an address lets in more accounts than it refuses, and the rule stays silent.
"""
blind_spots = """
A botnet in which no address makes 15 attempts in 10 minutes. Attempts on fewer than 5 accounts (see brute_force). Attempts that are
logged without an address. An attacker who owns half as many valid accounts as he tries, and logs in to them all.
"""
runbook = """
1. List `action = 'login'` with this `ip` from one hour before `started_at`: does `user_agent`, `tls_fingerprint` or the pace look like one program?
2. Look for alerts of success_after_attack with this `ip`: those accounts fell; end their sessions and force a new password.
3. Block or challenge the `ip`, then list other addresses with the same `tls_fingerprint` in the same hour.
"""
*/
SELECT
    time,
    ip,
    account,
    reason,
    user_agent,
    count(*) FILTER (WHERE outcome = 'failure') OVER recent AS failures,
    count(DISTINCT account) FILTER (WHERE outcome = 'failure') OVER recent AS failed_accounts,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER recent AS succeeded_accounts
FROM events
WHERE action = 'login'
    AND ip <> ''
WINDOW recent AS (
    PARTITION BY ip
    ORDER BY time
    RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY outcome = 'failure'
    AND ((failures >= 15 AND failed_accounts >= 10) OR (failures >= 30 AND failed_accounts >= 5))
    AND failed_accounts > 2 * succeeded_accounts
