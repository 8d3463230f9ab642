//! Who is let in, and what forms may change: at the sockets.

use crate::stage::{Answer, READ, Stage, WRITE, example};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

fn signed_in(stage: &Stage, token: &str) -> String {
    let answer = stage.call(
        "POST",
        "/sign-in",
        &["Host: x", FORM],
        &format!("token={token}&next=%2Falerts"),
    );
    assert_eq!((answer.status, answer.header("location")), (303, "/alerts"), "{answer:?}");
    let cookie = answer.header("set-cookie");
    for word in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    format!("Cookie: {}", cookie.split(';').next().unwrap())
}

#[test]
fn every_page_has_the_headers_and_nothing_is_changed_by_get() {
    let stage = Stage::new(&example(), false);
    let (incident, alert) =
        (stage.incident().id.clone(), stage.find(|one| one.incident.is_none()).id.clone());
    let pages = [
        ("/".to_owned(), 200),
        ("/incidents?severity=high&status=open".to_owned(), 200),
        ("/alerts?q=198.51.100.137&rule=&from=2019-11-01T00%3A00".to_owned(), 200),
        (format!("/incidents/{incident}"), 200),
        (format!("/alerts/{alert}"), 200),
        ("/accounts/remy.0005".to_owned(), 200),
        ("/accounts/nobody%2Fhere%20%3F".to_owned(), 200),
        ("/rules".to_owned(), 200),
        ("/rules/new_device_then_takeover".to_owned(), 200),
        ("/pipeline?refresh=30".to_owned(), 200),
        ("/nowhere".to_owned(), 404),
        ("/alerts/x".to_owned(), 404),
        (format!("/incidents/{alert}"), 404),
        ("/accounts/%ff".to_owned(), 404),
        ("/rules/none".to_owned(), 404),
        ("/alerts?limit=1".to_owned(), 400),
        ("/?severity=grave".to_owned(), 400),
        ("/alerts?cursor=x".to_owned(), 400),
        (format!("/alerts/{alert}/verdict"), 405),
        ("/sign-out".to_owned(), 405),
    ];
    for (path, status) in pages {
        let answer = stage.get(&path);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "style-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(!answer.body.contains("<script") && !answer.body.contains("style="), "{path}");
    }
    let style = stage.get("/assets/console.css");
    assert!(style.header("cache-control").contains("immutable"), "{style:?}");
    stage
        .get("/api/v1/nowhere")
        .header("content-type")
        .contains("problem+json")
        .then_some(())
        .unwrap();
}

#[test]
fn a_form_without_its_token_or_of_another_site_changes_nothing() {
    let stage = Stage::new(&example(), false);
    let alert = stage.find(|one| one.incident.is_none()).id.clone();
    let (page, path) = (format!("/alerts/{alert}"), format!("/alerts/{alert}/verdict"));
    let token = stage.get(&page).form_token().to_owned();
    let body = |token: &str| format!("form={token}&who=ann&why=&verdict=benign");
    let host = format!("Host: {}", stage.address());
    let post = |headers: &[&str], body: &str| -> Answer {
        stage.call("POST", &path, &[&[host.as_str()], headers].concat(), body)
    };
    let refused = [
        post(&[FORM], "who=ann&verdict=benign"),
        post(&[FORM], &body("")),
        post(&[FORM], &body(&token[1..])),
        post(&[FORM, "Origin: http://evil.example"], &body(&token)),
        post(&[FORM, "Origin: null", "Sec-Fetch-Site: cross-site"], &body(&token)),
        post(&[FORM, "Sec-Fetch-Site: same-site"], &body(&token)),
        stage.call("POST", &path, &["Host: rebound.example", FORM], &body(&token)),
    ];
    for answer in refused {
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    }
    assert_eq!(post(&["Content-Type: text/plain"], &body(&token)).status, 415);
    for bad in ["verdict=fine&who=a", "verdict=benign&who=", "verdict=benign&who=%20"] {
        assert_eq!(post(&[FORM], &format!("form={token}&{bad}")).status, 422, "{bad}");
    }
    assert_eq!(post(&[FORM], &format!("form={token}&more=1")).status, 400);
    assert!(stage.get(&page).body.contains("None so far."), "nothing was taken");
    let own = format!("Origin: http://{}", stage.address());
    let taken = post(&[FORM, &own, "Sec-Fetch-Site: same-origin"], &body(&token));
    assert_eq!((taken.status, taken.header("location")), (303, &*format!("{page}#verdicts")));
    assert!(!stage.get(&page).body.contains("None so far."));
}

#[test]
fn tokens_are_asked_for_and_a_session_does_what_its_role_allows() {
    let stage = Stage::new(&example(), true);
    let alert = stage.find(|one| one.incident.is_none()).id.clone();
    let (page, path) = (format!("/alerts/{alert}"), format!("/alerts/{alert}/verdict"));
    for asked in ["/", &page, "/nowhere", "/rules", "/pipeline"] {
        let answer = stage.get(asked);
        assert_eq!(answer.status, 401, "{asked}");
        assert!(answer.body.contains(&format!("name=\"next\" value=\"{asked}\"")), "{asked}");
        assert!(!answer.body.contains("remy"), "{asked}");
    }
    let wrong =
        stage.call("POST", "/sign-in", &["Host: x", FORM], "token=wrong&next=//evil.example");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, ""));
    assert!(wrong.body.contains("not known") && !wrong.body.contains("evil"), "{wrong:?}");
    let foreign = ["Host: x", FORM, "Origin: http://evil.example"];
    assert_eq!(stage.call("POST", "/sign-in", &foreign, &format!("token={WRITE}")).status, 403);

    let (read, write) = (signed_in(&stage, READ), signed_in(&stage, WRITE));
    let get = |cookie: &str, path: &str| stage.call("GET", path, &["Host: x", cookie], "");
    let seen = get(&read, &page);
    assert_eq!(seen.status, 200);
    assert!(!seen.body.contains("/verdict\""), "no form for those who may only read");
    let body = |token: &str| format!("form={token}&who=ann&verdict=true_positive");
    let judge = |cookie: &str, token: &str| {
        stage.call("POST", &path, &["Host: x", FORM, cookie], &body(token)).status
    };
    let (of_reader, of_writer) =
        (seen.form_token().to_owned(), get(&write, &page).form_token().to_owned());
    assert_eq!(judge(&read, &of_reader), 403, "not the role");
    assert_eq!(judge(&write, &of_reader), 403, "the form of another session");
    assert_eq!(judge("Cookie: nightlatch_session=", &of_writer), 401);
    assert_eq!(judge(&write, &of_writer), 303);
    assert!(get(&read, &page).body.contains("token soc"), "who gave it is known by the token");
    // The API asks for its own: a cookie is none.
    assert_eq!(get(&write, "/api/v1/alerts").status, 401);

    let out = |cookie: &str, token: &str| {
        stage.call("POST", "/sign-out", &["Host: x", FORM, cookie], &format!("form={token}"))
    };
    assert_eq!(out(&write, "").status, 403);
    assert_eq!(get(&write, "/").status, 200);
    assert!(out(&write, &of_writer).header("set-cookie").contains("Max-Age=0"));
    assert_eq!(get(&write, "/").status, 401);
    assert_eq!(get(&read, "/").status, 200, "another session goes on");
}

#[test]
fn a_damaged_history_is_told_on_a_page() {
    let stage = Stage::new(&example(), false);
    let path = stage.folder.path().join("history.sqlite");
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(stage.folder.path().join(format!("history.sqlite{end}")));
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "no database, but long enough for the header of one ".repeat(100))
        .unwrap();
    let answer = stage.get("/");
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"), "{answer:?}");
    assert!(!answer.body.contains("history.sqlite"), "paths are for the log");
    assert_eq!(stage.get("/pipeline").status, 200, "what needs no history is there");
}

#[test]
fn pages_of_a_list_hold_still_and_lose_nothing() {
    let found = example();
    let alert = found.lines().find(|line| !line.contains("\"kind\":\"incident\"")).unwrap();
    let copy = |number: u32| {
        let mut alert: serde_json::Value = serde_json::from_str(alert).unwrap();
        alert["id"] = format!("{number:032x}").into();
        alert["severity"] = (if number.is_multiple_of(2) { "high" } else { "low" }).into();
        format!("{alert}\n")
    };
    let stage = Stage::new(&(0..240).map(copy).collect::<String>(), false);
    let (mut path, mut ids) = ("/alerts?severity=medium".to_owned(), Vec::new());
    loop {
        let answer = stage.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        let links = answer.body.split("href=\"/alerts/").skip(1);
        ids.extend(links.map(|link| link[..32].to_owned()));
        // The link of the page to the one behind it.
        let before = answer.body.split("\" rel=\"next\"").next().unwrap();
        if before.len() == answer.body.len() {
            break;
        }
        path = before.rsplit("href=\"").next().unwrap().replace("&amp;", "&");
    }
    let all: Vec<String> = (0..120).rev().map(|half| format!("{:032x}", 2 * half)).collect();
    assert_eq!(ids, all);
}
