//! The one page there is without a history.

use axum::Router;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;
use maud::html;

use super::page::{self, Page, Place};

/// `GET /` and what it loads.
pub(in crate::serve) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(welcome))
        .route("/assets/console.css", get(page::style))
        .route("/assets/icon.svg", get(page::icon))
        .layer(from_fn(page::harden))
}

async fn welcome() -> Response {
    let body = html! {
        section.narrow {
            h1 { "Nightlatch runs" }
            p.lead { "Without a history there is nothing to look through here." }
            ul {
                li { a href="/metrics" { "/metrics" } " for Prometheus" }
                li { a href="/-/healthy" { "/-/healthy" } ": the process answers" }
                li { a href="/-/ready" { "/-/ready" } ": events are read" }
            }
            h2 { "To switch the console and the API on" }
            p { "Add this to the configuration and start again:" }
            pre { "[history]\nretention = \"180 days\"" }
            p.soft { "On an address that others reach, " code { "http.tokens_file" } " is needed too." }
        }
    };
    let title = "Running".to_owned();
    let page = Page { title, place: Place::Elsewhere, body, refresh: None };
    page.response(axum::http::StatusCode::OK, None)
}
