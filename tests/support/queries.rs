//! Generated rules of the supported subset.

use proptest::prelude::*;

fn pick(choices: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(choices)
}

fn window() -> impl Strategy<Value = String> {
    let keys = pick(&[
        "PARTITION BY ip ",
        "PARTITION BY account ",
        "PARTITION BY account, device ",
        "PARTITION BY asn ",
        "PARTITION BY substr(account, 1, 2) ",
        "PARTITION BY outcome = 'failure', ip ",
        "",
    ]);
    let frame = pick(&[
        "INTERVAL '10' SECOND PRECEDING AND CURRENT ROW",
        "INTERVAL '2' MINUTE PRECEDING AND CURRENT ROW",
        "INTERVAL '1' HOUR PRECEDING AND CURRENT ROW",
        "INTERVAL '0' SECOND PRECEDING AND CURRENT ROW",
        "INTERVAL '1' HOUR PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING",
        "INTERVAL '2' MINUTE PRECEDING AND INTERVAL '4' SECOND PRECEDING",
        "INTERVAL '1' HOUR PRECEDING AND INTERVAL '2' MINUTE PRECEDING",
        "INTERVAL '2' DAY PRECEDING AND CURRENT ROW",
    ]);
    (keys, frame).prop_map(|(keys, frame)| format!("({keys}ORDER BY time RANGE BETWEEN {frame})"))
}

fn call() -> impl Strategy<Value = String> {
    let function = pick(&[
        "count(*)",
        "count(device)",
        "count(DISTINCT account)",
        "count(DISTINCT device)",
        "count(DISTINCT asn)",
        "count(DISTINCT latitude)",
        "sum(asn)",
        "sum(latitude)",
        "sum(CASE WHEN outcome = 'failure' THEN 1 ELSE 0 END)",
        "avg(asn)",
        "avg(latitude)",
        "min(latitude)",
        "max(latitude)",
        "min(asn)",
        "max(asn)",
        "min(device)",
        "max(device)",
        "min(time)",
        "max(time)",
        "stddev(latitude)",
        "stddev(asn)",
        "stddev_pop(latitude * 1e6 + asn)",
        "first_value(device)",
        "first_value(asn)",
        "last_value(device)",
        "last_value(latitude)",
        "lag(device)",
        "lag(asn, 2)",
        "lag(asn, 1, -7)",
        "lag(time)",
    ]);
    let filter = pick(&[
        "",
        "",
        " FILTER (WHERE outcome = 'failure')",
        " FILTER (WHERE device <> '' AND asn > 0)",
        " FILTER (WHERE latitude IS NULL)",
    ]);
    (function, filter, any::<bool>(), window()).prop_map(|(function, filter, ignore, window)| {
        let is_positional = ["first", "last", "lag("].iter().any(|name| function.starts_with(name));
        let nulls = if ignore && is_positional { " IGNORE NULLS" } else { "" };
        if function.starts_with("lag(") {
            let keys = window.split("ORDER BY").next().unwrap_or("(").to_owned();
            return format!("{function}{filter}{nulls} OVER {keys}ORDER BY time)");
        }
        format!("{function}{filter}{nulls} OVER {window}")
    })
}

fn condition() -> impl Strategy<Value = &'static str> {
    pick(&[
        "",
        " WHERE action = 'login'",
        " WHERE action = 'login' AND outcome <> 'success'",
        " WHERE ip IS NOT NULL AND device IS DISTINCT FROM ''",
        " WHERE 12 / nullif(asn, 0) > 2",
    ])
}

/// A window over what windows have given.
fn outer_call() -> impl Strategy<Value = String> {
    let function =
        pick(&["max(w0)", "count(w0)", "sum(n)", "count(DISTINCT n)", "min(n)", "last_value(n)"]);
    (function, window()).prop_map(|(function, window)| format!("{function} OVER {window}"))
}

/// The text of a rule file.
pub fn rule() -> impl Strategy<Value = String> {
    let calls = prop::collection::vec(call(), 1..4);
    let outer = prop::collection::vec(outer_call(), 0..3);
    let between =
        pick(&["", " WHERE n > 1", " WHERE n % 2 = 0", " WHERE coalesce(device, 'x') <> 'a'"]);
    let last = pick(&["", " QUALIFY o > 1", " QUALIFY n >= 2 OR o IS NULL"]);
    (calls, condition(), outer, between, last, window()).prop_map(
        |(calls, condition, outer, between, last, window)| {
            let list = |prefix: &str, calls: &[String]| {
                let named = calls.iter().enumerate();
                named.map(|(i, call)| format!(", {call} AS {prefix}{i}")).collect::<String>()
            };
            format!(
                "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"account\"\nquiet = \"1 minute\"\n\
                 horizon = \"1 hour\"\nsummary = \"s\"\n*/\n\
                 WITH inner_rows AS (SELECT time, action, outcome, account, ip, device, asn, latitude, \
                 count(*) OVER {window} AS n{} FROM events{condition})\n\
                 SELECT *, count(*) OVER w AS o{} FROM inner_rows{between}\n\
                 WINDOW w AS {window}{last}\n",
                list("w", &calls),
                list("x", &outer),
            )
        },
    )
}
