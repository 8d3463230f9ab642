//! What an analyst does in a browser.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::browser::Browser;
use crate::stage::{READ, Stage, WRITE, example, replay};

/// Where pictures go.
fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Nothing went wrong in the browser, and nobody else was asked for anything.
fn assert_clean(browser: &mut Browser, stage: &Stage) {
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let base = stage.url("/");
    let foreign: Vec<String> =
        browser.requests().into_iter().filter(|url| !url.starts_with(&base)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
fn from_the_overview_to_a_verdict_that_counts() {
    let stage = Stage::new(&example(), false);
    let mut browser = Browser::start();
    browser.look(1400, false);
    browser.open(&stage.url("/"));
    assert!(browser.text().contains("Account remy.0005 fell"));
    browser.click(".card h3 a");
    assert_eq!(browser.path(), format!("/incidents/{}", stage.incident().id));
    let text = browser.text();
    for told in ["GOING ON", "email_change", "What to do", "examples/ring-2019.jsonl:4940"] {
        assert!(text.to_lowercase().contains(&told.to_lowercase()), "{told}: {text}");
    }
    browser.click(".story h3 a");
    assert_eq!(browser.path(), "/accounts/remy.0005");
    assert!(browser.text().contains("The intruder was in"));
    browser.click("ol.story li.alert a");
    assert!(browser.path().starts_with("/alerts/"));
    let id = browser.path().replace("/alerts/", "");
    let rule = &stage.find(|one| one.id == id).rule;
    let verdicts = |count: u32| {
        format!("nightlatch_verdicts_total{{rule=\"{rule}\",verdict=\"true_positive\"}} {count}")
    };
    assert!(!stage.has_metric(&verdicts(1)));
    browser.focus("input[name=who]");
    browser.write("ann");
    browser.focus("textarea[name=why]");
    browser.write("The owner says it was not her.");
    browser.click("button[value=true_positive]");
    assert!(browser.text().contains("The owner says it was not her."));
    assert!(stage.has_metric(&verdicts(1)));
    assert!(stage.has_metric(&format!("nightlatch_rule_precision_ratio{{rule=\"{rule}\"}} 1")));
    browser.click("nav a[href='/rules']");
    assert!(browser.text().contains("1 true, 0 benign, 0 false"));
    assert_clean(&mut browser, &stage);
}

#[test]
fn by_the_keyboard_alone() {
    let stage = Stage::new(&example(), false);
    let mut browser = Browser::start();
    browser.look(1400, false);
    browser.open(&stage.url("/"));
    assert_eq!(browser.tab_to("a.skip"), 1, "the content can be skipped to");
    browser.tab_to(".card h3 a");
    browser.enter();
    assert!(browser.path().starts_with("/incidents/"));
    browser.tab_to("input[name=who]");
    browser.write("ann");
    browser.tab_to("textarea[name=why]");
    browser.write("a test");
    browser.tab_to("button[value=benign]");
    browser.enter();
    assert!(browser.path().starts_with("/incidents/"));
    assert!(browser.text().contains("a test"));
    assert!(stage.has_metric("nightlatch_verdicts_total{rule=\"incident\",verdict=\"benign\"} 1"));
    assert_clean(&mut browser, &stage);
}

/// Text whose contrast with what is behind it is below 4.5, and controls without a name.
const FAULTS: &str = r#"(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const f = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] == 255) return c; } return rgb(matchMedia('(prefers-color-scheme: dark)').matches ? '#000' : '#fff'); };
  const faults = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim());
    if (own && e.getClientRects().length) {
      const style = getComputedStyle(e);
      const [a, b] = [light(rgb(e instanceof SVGElement ? style.fill : style.color)), light(behind(e))];
      const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
      if (ratio < 4.5) faults.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className.baseVal ?? e.className}: ${e.textContent.slice(0, 30)}`);
    }
    if (e.matches('input:not([type=hidden]), select, textarea') && !e.labels.length) faults.push(`${e.name} has no label`);
    if (e.matches('a, button') && !e.textContent.trim()) faults.push(`${e.outerHTML} has no name`);
  }
  const levels = [...document.querySelectorAll('h1, h2, h3')].map(e => +e.tagName[1]);
  if (levels.filter(level => level == 1).length != 1 || levels[0] != 1) faults.push(`headings ${levels}`);
  return faults;
})()"#;

#[test]
fn every_page_at_both_widths_light_and_dark() {
    let stage = Stage::new(&example(), false);
    let (incident, alert) =
        (stage.incident().id.clone(), stage.find(|one| one.incident.is_none()).id.clone());
    let many = stage.find(|one| one.incident.as_ref().is_some_and(|part| part.alerts_total > 2));
    let pages = [
        ("overview", "/".to_owned()),
        ("search", "/?q=remy.0005&severity=low".to_owned()),
        ("incidents", "/incidents".to_owned()),
        ("alerts", "/alerts".to_owned()),
        ("incident", format!("/incidents/{incident}")),
        ("incident-large", format!("/incidents/{}", many.id)),
        ("alert", format!("/alerts/{alert}")),
        ("account", "/accounts/remy.0005".to_owned()),
        ("rules", "/rules".to_owned()),
        ("rule", "/rules/new_device_then_takeover".to_owned()),
        ("pipeline", "/pipeline".to_owned()),
    ];
    let mut browser = Browser::start();
    for (width, is_dark) in [(1400, false), (1400, true), (400, false), (400, true)] {
        browser.look(width, is_dark);
        for (name, path) in &pages {
            browser.open(&stage.url(path));
            let wide = browser.ask("document.documentElement.scrollWidth");
            assert!(wide.as_u64().unwrap() <= u64::from(width), "{name} at {width}: {wide}");
            let theme = if is_dark { "dark" } else { "light" };
            browser.picture(&pictures().join(format!("{name}-{width}-{theme}.png")));
            assert_eq!(browser.ask(FAULTS), json!([]), "{name} at {width}, {theme}");
        }
    }
    assert_clean(&mut browser, &stage);
}

#[test]
fn signing_in_to_read_and_to_write() {
    let stage = Stage::new(&example(), true);
    let incident = format!("/incidents/{}", stage.incident().id);
    let mut browser = Browser::start();
    browser.look(400, false);
    browser.open(&stage.url(&incident));
    browser.picture(&pictures().join("sign-in-400-light.png"));
    browser.focus("#token");
    browser.write(READ);
    browser.tab_to("button[type=submit]");
    browser.enter();
    assert_eq!(browser.path(), incident);
    assert_eq!(browser.ask("document.querySelectorAll('button[name=verdict]').length"), 0);
    assert!(browser.text().contains("grafana, read only"));
    browser.picture(&pictures().join("signed-in-400-light.png"));
    browser.click(".who button");
    assert!(browser.text().contains("Sign in"));
    browser.open(&stage.url(&incident));
    browser.focus("#token");
    browser.write(WRITE);
    browser.click("button[type=submit]");
    browser.click("button[value=true_positive]");
    assert!(browser.text().contains("token soc"));
    assert_eq!(browser.ask("document.cookie"), "", "scripts do not see the session");
    browser.look(1400, true);
    browser.open(&stage.url(&incident));
    browser.picture(&pictures().join("signed-in-1400-dark.png"));
    browser.open(&stage.url("/nowhere"));
    browser.picture(&pictures().join("not-found-1400-dark.png"));
}

#[test]
fn a_form_on_a_page_of_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("trap.html");
    for (with_tokens, told) in [(false, "The form came from another site"), (true, "Sign in")] {
        let stage = Stage::new(&example(), with_tokens);
        let mut browser = Browser::start();
        browser.look(1400, false);
        let incident = format!("/incidents/{}", stage.incident().id);
        if with_tokens {
            browser.open(&stage.url("/"));
            browser.focus("#token");
            browser.write(WRITE);
            browser.click("button[type=submit]");
        }
        let trap = format!(
            "<form method=post action='{}'><input name=who value=eve><button name=verdict \
             value=benign>You have won</button></form>",
            stage.url(&format!("{incident}/verdict"))
        );
        fs::write(&page, trap).unwrap();
        browser.open(&format!("file://{}", page.display()));
        browser.click("button");
        let text = browser.text().to_lowercase();
        assert!(text.contains(&told.to_lowercase()), "{text}");
        browser.open(&stage.url(&incident));
        assert!(browser.text().contains("None so far."), "nothing was taken");
    }
}

#[test]
fn a_report_opens() {
    let folder = tempfile::tempdir().unwrap();
    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ring-2019.jsonl");
    fs::copy(log, folder.path().join("ring-2019.jsonl")).unwrap();
    replay(folder.path(), &["ring-2019.jsonl", "--report", "report.html"]);
    let mut browser = Browser::start();
    for (width, is_dark) in [(1400, false), (400, true)] {
        browser.look(width, is_dark);
        browser.open(&format!("file://{}", folder.path().join("report.html").display()));
        let wide = browser.ask("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{width}: {wide}");
        browser.picture(&pictures().join(format!("report-{width}.png")));
    }
    assert!(browser.text().contains("there were 5,000 events"));
    assert!(browser.complaints().is_empty(), "{:#?}", browser.complaints());
    assert!(browser.requests().iter().all(|url| url.starts_with("file://")));
}

/// A rule whose summary repeats what events say.
const RULE: &str = r#"/*
title = "Three failures"
severity = "critical"
entity = "account"
quiet = "10 minutes"
attack = ["T1110"]
summary = "{failures} failures of {account} from {ip} by {user_agent} at {resource_label}"
*/
SELECT time, ip, account, user_agent, resource_label, device, session, count(*) OVER recent AS failures
FROM events
WHERE action = 'login' AND outcome = 'failure'
WINDOW recent AS (
  PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 3
"#;

const EVIL: [&str; 10] = [
    "<script>document.title='broken'</script>",
    "\"><img src=x onerror=document.title='broken'>",
    "'-alert(1)-'",
    "</style><script>alert(1)</script>",
    "</title><svg onload=alert(1)>",
    "<!--",
    "&lt;script&gt;",
    "javascript:alert(1)",
    "\u{202e}gnp.exe\u{7}\u{fffe}\u{2028}",
    "../../<b>x</b>?a=b#c%2F",
];

#[test]
fn what_events_say_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/three_failures.sql"), RULE).unwrap();
    let mut log = String::new();
    for (number, evil) in EVIL.iter().enumerate() {
        for second in 0..4 {
            let event = json!({
                "time": format!("2026-03-01T12:{number:02}:{second:02}Z"),
                "action": "login", "outcome": "failure", "account": evil, "ip": evil,
                "user_agent": evil, "resource_label": evil, "device": evil, "session": evil,
            });
            log += &format!("{event}\n");
        }
    }
    fs::write(folder.path().join("evil.jsonl"), log).unwrap();
    let stage = Stage::new(&replay(folder.path(), &["evil.jsonl", "--rules", "rules"]), false);
    let mut browser = Browser::start();
    browser.look(400, false);
    let mut pages =
        vec!["/".to_owned(), "/incidents".to_owned(), "/alerts".to_owned(), "/rules".to_owned()];
    let one_each = stage.documents.iter().map(|one| {
        format!("/{}/{}", if one.incident.is_some() { "incidents" } else { "alerts" }, one.id)
    });
    pages.extend(one_each);
    for page in &pages {
        browser.open(&stage.url(page));
        let wide = browser.ask("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= 400, "{page}: {wide}");
        let added = "document.querySelectorAll('script, img, iframe, style, b:not(.facts b, .state b, .verdicts b, .head b)').length";
        assert_eq!(browser.ask(added), 0, "{page}");
        assert!(
            browser.ask("document.title").as_str().unwrap().ends_with("· Nightlatch"),
            "{page}"
        );
    }
    // Each name leads to its own page.
    browser.open(&stage.url("/alerts"));
    let links =
        browser.ask("[...document.querySelectorAll('td[data-label=Whom] a')].map(a => a.href)");
    let links: Vec<String> = serde_json::from_value(links).unwrap();
    assert_eq!(links.len(), EVIL.len());
    for link in links {
        browser.open(&link);
        assert!(browser.text().contains("1 alert names this account"), "{link}");
    }
    browser.open(&stage.url("/alerts"));
    let text = browser.text();
    assert!(text.contains("<script>document.title='broken'</script>"), "it is shown as text");
    assert!(text.contains("\\u{202e}gnp.exe"), "what deceives is visible: {text}");
    assert_clean(&mut browser, &stage);
}
