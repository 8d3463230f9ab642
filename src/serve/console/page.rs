//! The page around what it tells, its headers, and what it loads.

use std::sync::LazyLock;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest, Sha256};

use super::Asked;
use super::session::Viewer;
use crate::markup::{PALETTE, shown};
use crate::serve::api::problem::Problem;

/// Nothing from elsewhere, no script, no frame around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";
/// The style never changes under one address.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

static STYLE: LazyLock<String> =
    LazyLock::new(|| format!("{PALETTE}{}", include_str!("console.css")));
/// What of the address of the style changes with it.
static STYLE_VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::digest(STYLE.as_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});
const ICON: &str = include_str!("icon.svg");

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Incidents,
    Alerts,
    Rules,
    Pipeline,
    Elsewhere,
}

const PLACES: [(Place, &str, &str); 5] = [
    (Place::Overview, "/", "Overview"),
    (Place::Incidents, "/incidents", "Incidents"),
    (Place::Alerts, "/alerts", "Alerts"),
    (Place::Rules, "/rules", "Rules"),
    (Place::Pipeline, "/pipeline", "Pipeline"),
];

/// What a page tells.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) place: Place,
    pub(super) body: Markup,
    /// The viewer wants it anew after so many seconds.
    pub(super) refresh: Option<u32>,
}

impl Page {
    /// The page, or one that says why there is none.
    pub(super) fn answer(viewer: &Viewer, page: Asked<Self>) -> Response {
        match page {
            Ok(page) => page.response(StatusCode::OK, Some(viewer)),
            Err(problem) => failure(Some(viewer), &problem),
        }
    }

    /// The page with what stands around it.
    pub(super) fn response(self, status: StatusCode, viewer: Option<&Viewer>) -> Response {
        let whole = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    @if let Some(seconds) = self.refresh { meta http-equiv="refresh" content=(seconds); }
                    title { (shown(&self.title)) " · Nightlatch" }
                    link rel="stylesheet" href=(format!("/assets/console.css?v={}", *STYLE_VERSION));
                    link rel="icon" type="image/svg+xml" href="/assets/icon.svg";
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (bar(self.place, viewer))
                    main #main tabindex="-1" { (self.body) }
                    footer.soft { "All times are UTC. Nightlatch " (env!("CARGO_PKG_VERSION")) }
                }
            }
        };
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        (status, [(header::CONTENT_TYPE, kind)], whole.into_string()).into_response()
    }
}

/// Name, navigation, and who is signed in.
fn bar(place: Place, viewer: Option<&Viewer>) -> Markup {
    let signed_in = viewer.and_then(|viewer| Some((viewer, viewer.caller.token.as_deref()?)));
    html! {
        header.bar {
            a.brand href="/" { "Nightlatch" }
            @if viewer.is_some() {
                nav aria-label="Pages" {
                    @for (one, path, name) in PLACES {
                        a href=(path) aria-current=[(one == place).then_some("page")] { (name) }
                    }
                }
            }
            @if let Some((viewer, name)) = signed_in {
                form.who method="post" action="/sign-out" {
                    input type="hidden" name="form" value=(viewer.form_token);
                    span.soft { (shown(name)) @if !viewer.may_judge() { ", read only" } }
                    button.quiet type="submit" { "Sign out" }
                }
            }
        }
    }
}

/// A page that says what went wrong.
pub(super) fn failure(viewer: Option<&Viewer>, problem: &Problem) -> Response {
    let title = problem.status.canonical_reason().unwrap_or("Error");
    let hint = match problem.status {
        StatusCode::SERVICE_UNAVAILABLE => {
            "Detection goes on meanwhile. Try again in some seconds; the log says more."
        }
        StatusCode::NOT_FOUND => "Alerts and incidents are deleted when their retention is over.",
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "Nothing was changed.",
        _ => "Go back and correct it; nothing was changed.",
    };
    let body = html! {
        section.narrow {
            h1 { (title) }
            p.lead role="alert" { (shown(&problem.detail)) }
            p.soft { (hint) }
            p { a href="/" { "To the overview" } }
        }
    };
    let page = Page { title: title.to_owned(), place: Place::Elsewhere, body, refresh: None };
    let mut response = page.response(problem.status, viewer);
    if problem.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// What every page says to browsers. An answer that says how long it may be kept is no page.
pub(super) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.entry(header::CACHE_CONTROL).or_insert(fixed("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, fixed(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(header::REFERRER_POLICY, fixed("no-referrer"));
    response
}

fn asset(kind: &'static str, body: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, FOR_EVER)];
    (headers, body).into_response()
}

/// The style of all pages.
pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", &STYLE)
}

/// The picture in the browser's tab.
pub(super) async fn icon() -> Response {
    asset("image/svg+xml", ICON)
}
