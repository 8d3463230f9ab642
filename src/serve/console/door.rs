//! Who is let in. With tokens: whoever signed in with one. Without, on loopback alone: everybody on this
//! machine, but under its own names.

use std::time::Instant;

use axum::extract::{Extension, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::html;

use super::page::{self, Page, Place};
use super::session::{AGE_MAX, Viewer};
use super::{Asked, Console, links};
use crate::serve::api::guard::{asked_by_own_name, is_own_origin, single};
use crate::serve::api::handlers::bytes_of;
use crate::serve::api::parameters::Parameters;
use crate::serve::api::problem::Problem;
use crate::serve::api::tokens::{Caller, Role, digest};

const COOKIE: &str = "nightlatch_session";

/// Answers with a page that says what is missing, or asks the next one with the viewer at hand.
pub(super) async fn admit(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Response {
    let viewer = viewer(&console, request.headers());
    match viewer {
        Ok(Some(viewer)) => {
            request.extensions_mut().insert(viewer);
            next.run(request).await
        }
        Ok(None) => {
            let asked = request.uri().path_and_query().map_or("/", |path| path.as_str());
            // What a form asked for is not asked for again by its address.
            let back = if request.method() == axum::http::Method::GET { asked } else { "/" };
            sign_in_form(StatusCode::UNAUTHORIZED, back, None)
        }
        Err(problem) => page::failure(None, &problem),
    }
}

/// Who asks; `None` when nobody is signed in.
fn viewer(console: &Console, headers: &HeaderMap) -> Asked<Option<Viewer>> {
    let Some(tokens) = &console.shared.api.shared.tokens else {
        asked_by_own_name(headers)?;
        let caller = Caller { role: Role::Write, token: None };
        let form_token = console.shared.form_token.clone();
        return Ok(Some(Viewer { caller, form_token }));
    };
    let session =
        cookie(headers).and_then(|cookie| console.shared.sessions.find(cookie, Instant::now()));
    Ok(session.and_then(|(token, form_token)| {
        // What the file of tokens says now counts.
        Some(Viewer { caller: tokens.caller_with(&token)?, form_token })
    }))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = single(headers, header::COOKIE)?.split(';');
    let mut values = pairs.filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    let value = values.next()?;
    if values.next().is_some() { None } else { Some(value) }
}

/// Reads a form that names nothing but `known`, and that no other site sent.
pub(super) async fn form(request: Request, known: &[&str]) -> Asked<Parameters> {
    let (head, body) = request.into_parts();
    if is_foreign(&head.headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the form came from another site"));
    }
    let kind = single(&head.headers, header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let detail = "the content type must be that of a form";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let bytes = bytes_of(body).await?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Problem::bad_request("the form is not UTF-8 in percent-encoding"))?;
    Parameters::parse(Some(text), known)
}

/// Whether the browser says that the form is not of this site. Because pages forbid the referrer, a
/// browser hides the origin of our own forms too (`null`): then `Sec-Fetch-Site` tells, and where a
/// browser does not send that, only the token in the form.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_hidden = single(headers, header::ORIGIN) == Some("null");
    let has_origin = headers.contains_key(header::ORIGIN);
    site.is_some_and(|site| site != b"same-origin")
        || (has_origin && !is_hidden && !is_own_origin(headers))
}

/// What a form may change: nothing without the token that this viewer's forms carry.
pub(super) fn own_form(viewer: &Viewer, form: &Parameters) -> Asked<()> {
    if form.get("form").is_some_and(|token| viewer.is_own_form(token)) {
        return Ok(());
    }
    let detail = "the form is of an earlier session or of another site: open the page again";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

/// `GET /sign-in`
pub(super) async fn sign_in_page(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
) -> Response {
    if console.shared.api.shared.tokens.is_none() {
        return see("/");
    }
    let query = Parameters::parse(query.as_deref(), &["next"]);
    let next = query.as_ref().ok().and_then(|query| query.get("next")).unwrap_or("/");
    sign_in_form(StatusCode::OK, links::own_path(next), None)
}

/// `POST /sign-in`
pub(super) async fn sign_in(
    State(console): State<Console>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let form = match form(request, &["token", "next"]).await {
        Ok(form) => form,
        Err(problem) => return page::failure(None, &problem),
    };
    let next = links::own_path(form.get("next").unwrap_or("/"));
    let tokens = console.shared.api.shared.tokens.as_ref();
    let token = digest(form.get("token").unwrap_or_default().trim());
    if tokens.and_then(|tokens| tokens.caller_with(&token)).is_none() {
        return sign_in_form(StatusCode::UNAUTHORIZED, next, Some("This token is not known."));
    }
    if let Some(before) = cookie(&headers) {
        console.shared.sessions.end(before);
    }
    match console.shared.sessions.begin(token, Instant::now()) {
        Ok(cookie) => with_cookie(see(next), &cookie, AGE_MAX.as_secs()),
        Err(error) => {
            tracing::warn!("the console: {error}");
            page::failure(None, &Problem::unavailable(error.message))
        }
    }
}

/// `POST /sign-out`
pub(super) async fn sign_out(
    State(console): State<Console>,
    Extension(viewer): Extension<Viewer>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let form = form(request, &["form"]).await;
    if let Err(problem) = form.and_then(|form| own_form(&viewer, &form)) {
        return page::failure(Some(&viewer), &problem);
    }
    if let Some(cookie) = cookie(&headers) {
        console.shared.sessions.end(cookie);
    }
    with_cookie(see("/"), "", 0)
}

/// Look there next, with a GET.
pub(super) fn see(path: &str) -> Response {
    let place = HeaderValue::try_from(path).unwrap_or_else(|_| HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

fn with_cookie(mut response: Response, value: &str, seconds: u64) -> Response {
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn sign_in_form(status: StatusCode, next: &str, wrong: Option<&str>) -> Response {
    let body = html! {
        section.narrow {
            h1 { "Sign in" }
            @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
            form method="post" action="/sign-in" {
                input type="hidden" name="next" value=(next);
                label for="token" { "Token" }
                input #token type="password" name="token" required autocomplete="current-password"
                    autofocus spellcheck="false";
                button.primary type="submit" { "Sign in" }
            }
            p.soft {
                "A token of " code { "http.tokens_file" } ". With the role " code { "read" }
                " you see everything; verdicts need " code { "write" } "."
            }
            p.soft {
                "Signed in already, and followed a link of another site? "
                a href=(next) { "Open the page again" } "."
            }
        }
    };
    let page = Page { title: "Sign in".to_owned(), place: Place::Elsewhere, body, refresh: None };
    page.response(status, None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::HttpConfig;
    use crate::history::{History, Limits};
    use crate::serve::{Api, Catalog, Metrics};

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        given
            .iter()
            .map(|(name, value)| {
                let name: header::HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn forms_of_other_sites_are_told_from_our_own() {
        let host = ("host", "soc.example");
        let own = [
            vec![host],
            vec![host, ("origin", "https://soc.example")],
            vec![host, ("origin", "null"), ("sec-fetch-site", "same-origin")],
            vec![host, ("origin", "null")],
        ];
        for given in own {
            assert!(!is_foreign(&headers(&given)), "{given:?}");
        }
        let foreign = [
            vec![host, ("origin", "https://evil.example")],
            vec![host, ("origin", "null"), ("sec-fetch-site", "cross-site")],
            vec![host, ("origin", "https://soc.example"), ("sec-fetch-site", "same-site")],
            vec![host, ("sec-fetch-site", "none")],
        ];
        for given in foreign {
            assert!(is_foreign(&headers(&given)), "{given:?}");
        }
    }

    #[test]
    fn a_session_is_worth_what_its_token_is_worth_now() {
        const TOKEN: &str = "0123456789abcdef01234567";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let write = |line: String| {
            std::fs::write(&path, line).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        };
        write(format!("write soc {TOKEN}"));
        let limits = Limits { retention: Duration::from_secs(1), rows_max: 1 };
        let history = Arc::new(History::new(&folder.path().join("history"), limits));
        let http = HttpConfig { tokens_file: Some(path.clone()), ..HttpConfig::default() };
        let metrics = Arc::new(Metrics::new().unwrap());
        let api = Api::new(history, &http, metrics.history.clone(), Catalog::default()).unwrap();
        let console = Console::new(&api, metrics, Arc::default()).unwrap();
        let session = console.shared.sessions.begin(digest(TOKEN), Instant::now()).unwrap();
        let cookie = HeaderValue::try_from(format!("{COOKIE}={session}")).unwrap();
        let headers = HeaderMap::from_iter([(header::COOKIE, cookie)]);
        let may_judge = || viewer(&console, &headers).unwrap().map(|viewer| viewer.may_judge());
        assert_eq!(may_judge(), Some(true));
        write(format!("read soc {TOKEN}"));
        api.read_tokens_again().unwrap();
        assert_eq!(may_judge(), Some(false));
        write("read soc another-token-of-a-test-0123".to_owned());
        api.read_tokens_again().unwrap();
        assert_eq!(may_judge(), None);
    }

    #[test]
    fn a_cookie_is_found_among_others_and_never_twice() {
        assert_eq!(cookie(&headers(&[("cookie", "a=b; nightlatch_session=12; c=d")])), Some("12"));
        let wrong = [
            "",
            "nightlatch_session",
            "xnightlatch_session=1",
            "nightlatch_session=1; nightlatch_session=2",
        ];
        for wrong in wrong {
            assert_eq!(cookie(&headers(&[("cookie", wrong)])), None, "{wrong}");
        }
    }
}
