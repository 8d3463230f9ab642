//! The API over the history: `/api/v1`, as `docs/openapi.json` has it.

mod catalog;
pub(super) mod guard;
pub(super) mod handlers;
pub(super) mod parameters;
pub(super) mod problem;
pub(super) mod reading;
#[cfg(test)]
mod tests;
pub(super) mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};

pub use catalog::Catalog;

use crate::config::HttpConfig;
use crate::history::{FindingKind, History, HistoryMetrics};
use crate::{Error, Result};
use problem::Problem;
use reading::Desk;
use tokens::Tokens;

/// All paths begin with it.
const ROOT: &str = "/api/v1";
/// The description of the API, checked in.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// What the API needs; a clone is the same one.
#[derive(Debug, Clone)]
pub struct Api {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) history: Arc<History>,
    pub(super) desk: Desk,
    pub(super) metrics: HistoryMetrics,
    pub(super) catalog: Catalog,
    /// `None`: whoever is on this machine may do everything.
    pub(super) tokens: Option<Tokens>,
}

impl Api {
    /// Reads the tokens; the history is not opened yet.
    ///
    /// # Errors
    /// When the file of tokens cannot be used, or when it is missing and the address is not loopback.
    pub fn new(
        history: Arc<History>,
        http: &HttpConfig,
        metrics: HistoryMetrics,
        catalog: Catalog,
    ) -> Result<Self> {
        let tokens = http.tokens_file.as_deref().map(Tokens::read).transpose()?;
        if tokens.is_none() && !http.listen.ip().is_loopback() {
            return Err(Error::usage("the API needs tokens where others can reach it")
                .at("http.listen")
                .hint("name a file of tokens in `http.tokens_file`, or listen on 127.0.0.1"));
        }
        let desk = Desk::default();
        Ok(Self { shared: Arc::new(Shared { history, desk, metrics, catalog, tokens }) })
    }

    /// Reads the file of tokens again, if there is one.
    ///
    /// # Errors
    /// When it cannot be used: then those of before are still good.
    pub(crate) fn read_tokens_again(&self) -> Result<()> {
        self.shared.tokens.as_ref().map_or(Ok(()), Tokens::read_again)
    }

    /// Everything below [`ROOT`].
    pub(super) fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let empty = Router::new();
        let routes = routes()
            .into_iter()
            .fold(empty, |router, (path, method)| router.route(&format!("{ROOT}{path}"), method));
        routes
            .route(&format!("{ROOT}/{{*rest}}"), axum::routing::any(nowhere))
            .method_not_allowed_fallback(not_allowed)
            .layer(from_fn_with_state(self.clone(), guard::admit))
            .layer(from_fn_with_state(self.clone(), guard::measure))
            .layer(from_fn(guard::harden))
            .with_state(self.clone())
    }
}

/// The paths of the document, and what answers.
fn routes() -> [(&'static str, MethodRouter<Api>); 8] {
    use FindingKind::{Alert, Incident};
    let list = |kind| get(move |api, query| handlers::list(kind, api, query));
    let one = |kind| get(move |api, path, query| handlers::one(kind, api, path, query));
    let judge = |kind| {
        post(move |api, caller, path, query, body| {
            handlers::judge(kind, api, caller, path, query, body)
        })
    };
    [
        ("/alerts", list(Alert)),
        ("/alerts/{id}", one(Alert)),
        ("/alerts/{id}/verdict", judge(Alert)),
        ("/incidents", list(Incident)),
        ("/incidents/{id}", one(Incident)),
        ("/incidents/{id}/verdict", judge(Incident)),
        ("/rules", get(handlers::rules)),
        ("/openapi.json", get(handlers::document)),
    ]
}

async fn nowhere() -> Problem {
    Problem::not_found("there is nothing at this path")
}

async fn not_allowed() -> Problem {
    Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "the path does not take this method")
}
