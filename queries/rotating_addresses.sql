/*
title    = "One network tries many accounts from rotating addresses"
severity = "high"
entity   = "asn"
quiet    = "12 hours"
attack   = ["T1110.003", "T1110.004"]
summary  = "{failed_accounts} accounts refused {addresses} addresses of AS{asn} ({as_org}) within a day; {succeeded_accounts} let it in"
why      = """
An attacker rents addresses of one hoster and takes the next before one stands out. Accounts that never used the network fail there, and hardly
anybody gets in. A network in which customers live is left out: more accounts are at home there than fail.
"""
false_positives = """
A company or a VPN whose people sign up on one day and all fail. Partners and integrations are known to their accounts and do not count.
"""
blind_spots = """
Less than 10 accounts a day. Addresses of many systems (see spraying_from_many_sources). A system with many customers. Needs `asn`: silent
without enrichment.
"""
validation = """
From 3 addresses of one system that no customer uses, fail on 10 accounts within a day.
"""
runbook = """
1. List `login` events with this `asn` over the 24 hours before `updated_at` by `ip`: new names each time, one `user_agent`, addresses in turn confirm it.
2. Of these, list `outcome = 'success'`: treat the accounts as taken, end their sessions and force a new password.
3. Challenge logins from this `asn`; block it where nobody lives there (`settled_accounts` is 0).
"""
*/
WITH strangers AS (
    SELECT
        time,
        outcome,
        account,
        ip,
        asn,
        as_org,
        reason,
        user_agent,
        asn_accounts,
        outcome = 'failure' AND coalesce(reason, '') NOT IN ('service_unavailable', 'server_error', 'timeout') AS refused
    FROM events
    WHERE action = 'login'
        AND account <> ''
        AND asn IS NOT NULL
        AND coalesce(device_known_days, 0) < 1
        AND coalesce(ip_known_days, 0) < 1
        AND coalesce(prefix_known_days, 0) < 1
)
SELECT
    time,
    asn,
    as_org,
    account,
    ip,
    outcome,
    reason,
    user_agent,
    coalesce(asn_accounts, 0) AS settled_accounts,
    count(DISTINCT account) FILTER (WHERE refused) OVER by_network AS failed_accounts,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER by_network AS succeeded_accounts,
    count(DISTINCT ip) FILTER (WHERE refused) OVER by_network AS addresses
FROM strangers
WINDOW by_network AS (
    PARTITION BY asn
    ORDER BY time
    RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
)
QUALIFY (refused OR outcome = 'success')
    AND failed_accounts >= 10
    AND addresses >= 3
    AND failed_accounts > 3 * succeeded_accounts
    AND failed_accounts > settled_accounts
