//! The console: what an analyst sees in a browser. Pages are made here, with neither script nor build;
//! everything that a form changes needs the role write and a token of the form.
//!
//! ```text
//! request ──> door (who is it?) ──> a page's questions ──> Desk ──> history
//!                                        └── metrics, rules ──> markup
//! ```

mod account;
mod alert;
mod door;
mod incident;
mod links;
mod list;
mod page;
mod parts;
mod pipeline;
mod prose;
mod rules;
mod search;
mod session;
mod verdict;
mod welcome;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Extension, RawQuery, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};

use super::api::handlers::Id;
use super::api::problem::Problem;
use super::{Api, Health, Metrics};
use crate::delivery::record::AlertRecord;
use crate::event::TimeMicros;
use crate::history::{FindingKind, PageItem};
use crate::{Error, Result};
use page::Page;
use session::{Sessions, Viewer};

/// What the console needs; a clone is the same one.
#[derive(Debug, Clone)]
pub(super) struct Console {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    api: Api,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    sessions: Sessions,
    /// In the forms of those who need not sign in.
    form_token: String,
    started: Instant,
}

/// What a page's questions came to.
type Asked<T> = std::result::Result<T, Problem>;

impl Console {
    /// The console over what the API has.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn new(api: &Api, metrics: Arc<Metrics>, health: Arc<Health>) -> Result<Self> {
        let form_token = session::random()?;
        let (api, started) = (api.clone(), Instant::now());
        let sessions = Sessions::default();
        let shared = Shared { api, metrics, health, sessions, form_token, started };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// All pages, what they load, and what their forms ask for.
    pub(super) fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/", get(overview))
            .route(
                "/incidents",
                get(|console, viewer, query| list(FindingKind::Incident, console, viewer, query)),
            )
            .route(
                "/alerts",
                get(|console, viewer, query| list(FindingKind::Alert, console, viewer, query)),
            )
            .route("/incidents/{id}", get(incident))
            .route("/alerts/{id}", get(alert))
            .route(
                "/incidents/{id}/verdict",
                post(|c, v, id, r| verdict::judge(FindingKind::Incident, c, v, id, r)),
            )
            .route(
                "/alerts/{id}/verdict",
                post(|c, v, id, r| verdict::judge(FindingKind::Alert, c, v, id, r)),
            )
            .route("/accounts/{account}", get(account))
            .route("/rules", get(rules))
            .route("/rules/{id}", get(rule))
            .route("/pipeline", get(pipeline))
            .route("/sign-out", post(door::sign_out))
            .fallback(nowhere)
            .method_not_allowed_fallback(not_allowed)
            .layer(from_fn_with_state(self.clone(), door::admit))
            // Whoever is not let in sees these.
            .route("/sign-in", get(door::sign_in_page).post(door::sign_in))
            .route("/assets/console.css", get(page::style))
            .route("/assets/icon.svg", get(page::icon))
            .layer(from_fn(page::harden))
            .with_state(self.clone())
    }

    /// The time by which things are old: how far events are released, else the clock.
    fn now(&self) -> TimeMicros {
        let watermark = self.shared.metrics.watermark_seconds.get();
        if watermark > 0.0 {
            #[allow(clippy::cast_possible_truncation)] // a float becomes at most the largest time
            return (watermark * 1e6) as TimeMicros;
        }
        chrono::Utc::now().timestamp_micros()
    }

    /// Asks the history, when it is this one's turn.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&crate::history::History) -> Result<T> + Send + 'static,
    ) -> Asked<T> {
        let history = self.shared.api.shared.history.clone();
        self.shared.api.shared.desk.ask(move || question(&history)).await
    }
}

/// What a document says.
fn record(document: &str) -> Result<AlertRecord> {
    serde_json::from_str(document).map_err(|error| {
        Error::unavailable("a document of the history cannot be read").detail(error.to_string())
    })
}

/// A finding of a page, read.
fn item(item: &PageItem) -> Result<parts::Item> {
    Ok(parts::Item { record: record(item.document.get())?, verdict: item.verdict })
}

async fn overview(
    State(console): State<Console>,
    Extension(viewer): Extension<Viewer>,
    RawQuery(query): RawQuery,
) -> Response {
    Page::answer(&viewer, list::overview(&console, query.as_deref()).await)
}

async fn list(
    kind: FindingKind,
    State(console): State<Console>,
    Extension(viewer): Extension<Viewer>,
    RawQuery(query): RawQuery,
) -> Response {
    Page::answer(&viewer, list::list(&console, kind, query.as_deref()).await)
}

async fn incident(
    State(console): State<Console>,
    Extension(viewer): Extension<Viewer>,
    id: Id,
) -> Response {
    Page::answer(&viewer, incident::page(&console, &viewer, id).await)
}

async fn alert(
    State(console): State<Console>,
    Extension(viewer): Extension<Viewer>,
    id: Id,
) -> Response {
    Page::answer(&viewer, alert::page(&console, &viewer, id).await)
}

async fn account(
    State(console): State<Console>,
    Extension(viewer): Extension<Viewer>,
    account: Id,
) -> Response {
    Page::answer(&viewer, account::page(&console, account).await)
}

async fn rules(State(console): State<Console>, Extension(viewer): Extension<Viewer>) -> Response {
    Page::answer(&viewer, rules::list(&console).await)
}

async fn rule(
    State(console): State<Console>,
    Extension(viewer): Extension<Viewer>,
    id: Id,
) -> Response {
    Page::answer(&viewer, rules::one(&console, id).await)
}

async fn pipeline(
    State(console): State<Console>,
    Extension(viewer): Extension<Viewer>,
    RawQuery(query): RawQuery,
) -> Response {
    Page::answer(&viewer, pipeline::page(&console, query.as_deref()))
}

async fn nowhere(Extension(viewer): Extension<Viewer>) -> Response {
    Page::answer(&viewer, Err(Problem::not_found("there is nothing at this path")))
}

async fn not_allowed() -> Response {
    let detail = "the path does not take this method";
    page::failure(None, &Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail))
}

pub(super) use welcome::router as without_history;
