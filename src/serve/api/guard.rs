//! Who is let in. With tokens: whoever has one. Without, on loopback alone: programs of this machine,
//! but no page of a browser that came from elsewhere.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::problem::Problem;
use super::tokens::{Caller, Role};

/// Answers with a problem, or asks the next one with the caller at hand.
pub(super) async fn admit(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    match caller(&api, request.method(), request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn caller(api: &Api, method: &Method, headers: &HeaderMap) -> Result<Caller, Problem> {
    let caller = match &api.shared.tokens {
        Some(tokens) => {
            bearer(headers).and_then(|token| tokens.caller(token)).ok_or_else(|| {
                Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "a bearer token of `http.tokens_file` is needed",
                )
            })?
        }
        None => {
            asked_by_own_name(headers)?;
            Caller { role: Role::Write, token: None }
        }
    };
    if *method == Method::POST {
        changes(headers, &caller)?;
    }
    Ok(caller)
}

/// Against names that were made to lead here (DNS rebinding).
pub(in crate::serve) fn asked_by_own_name(headers: &HeaderMap) -> Result<(), Problem> {
    if single(headers, header::HOST).is_some_and(is_this_machine) {
        return Ok(());
    }
    let detail = "the host must be localhost, 127.0.0.1 or [::1]";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

/// What changes something is for those who may, and for no other site's page.
fn changes(headers: &HeaderMap, caller: &Caller) -> Result<(), Problem> {
    if caller.role < Role::Write {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the token has not the role write"));
    }
    if headers.contains_key(header::ORIGIN) && !is_own_origin(headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the origin is another site"));
    }
    Ok(())
}

/// Whether the page that asks came from here.
pub(in crate::serve) fn is_own_origin(headers: &HeaderMap) -> bool {
    let origin = single(headers, header::ORIGIN).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(scheme, authority)| {
        matches!(scheme, "http" | "https") && single(headers, header::HOST) == Some(authority)
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = single(headers, header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of a header that stands there once, as text.
pub(in crate::serve) fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Whether a `Host` names this machine, with a port or without.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || matches!(name, "127.0.0.1" | "[::1]")
}

/// Counts requests, and how long they take.
pub(super) async fn measure(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = std::time::Instant::now();
    let response = next.run(request).await;
    let metrics = &api.shared.metrics;
    metrics.requests.with_label_values(&[response.status().as_str()]).inc();
    let duration = metrics.duration.with_label_values(&[] as &[&str]);
    duration.observe(started.elapsed().as_secs_f64());
    response
}

/// What is told is for the caller alone, and is never taken for a page.
pub(super) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_pass() {
        for host in ["localhost", "LOCALHOST:9464", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:80"]
        {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "::1",
            "127.0.0.2",
            "localhost:80:evil.example",
            "evil.example:80",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_header_that_stands_there_twice_says_nothing() {
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        assert_eq!(bearer(&headers), Some("a"));
        headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert_eq!(bearer(&headers), None);
    }
}
