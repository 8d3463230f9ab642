//! What answers at each path.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::parameters::{self, Parameters};
use super::problem::Problem;
use super::tokens::Caller;
use super::{Api, DOCUMENT};
use crate::alert::write_json;
use crate::history::{FindingKind, Given, NewVerdict, PageItem, RuleCounts, Verdict, VerdictLabel};
use crate::rules::Severity;

/// A verdict is shorter.
const BODY_BYTES_MAX: usize = 16 << 10;
/// How long a body may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(10);
pub(in crate::serve) const WHO_CHARS_MAX: usize = 128;
pub(in crate::serve) const WHY_CHARS_MAX: usize = 2000;

type Answer = Result<Response, Problem>;
pub(in crate::serve) type Id = Result<Path<String>, PathRejection>;

/// JSON in which nothing is that a terminal obeys.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut body = Vec::new();
    let _ = write_json(value, &mut body); // a Vec takes every write; every key is text
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[derive(Serialize)]
struct List<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// A page of alerts or incidents.
pub(super) async fn list(
    kind: FindingKind,
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Answer {
    let (filter, limit) = parameters::filter(kind, query.as_deref())?;
    let history = api.shared.history.clone();
    let page = api.shared.desk.ask(move || history.page(&filter, limit)).await?;
    let next_cursor = page.next.map(crate::history::Cursor::text);
    Ok(json(StatusCode::OK, &List::<PageItem> { items: page.items, next_cursor }))
}

/// One alert or incident.
pub(super) async fn one(
    kind: FindingKind,
    State(api): State<Api>,
    id: Id,
    RawQuery(query): RawQuery,
) -> Answer {
    Parameters::parse(query.as_deref(), &[])?;
    let id = known_id(kind, id)?;
    let history = api.shared.history.clone();
    let details = api.shared.desk.ask(move || history.details(kind, &id)).await?;
    let details = details.ok_or_else(|| unknown(kind))?;
    Ok(json(StatusCode::OK, &details))
}

/// Only what can be an id is looked for.
pub(in crate::serve) fn known_id(kind: FindingKind, id: Id) -> Result<String, Problem> {
    let Ok(Path(id)) = id else { return Err(unknown(kind)) };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if id.len() == 32 && id.bytes().all(is_digit) { Ok(id) } else { Err(unknown(kind)) }
}

/// There is no such finding.
pub(in crate::serve) fn unknown(kind: FindingKind) -> Problem {
    Problem::not_found(format!("there is no {} with this id", kind.label()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct VerdictBody {
    pub(in crate::serve) verdict: VerdictLabel,
    pub(in crate::serve) who: String,
    #[serde(default)]
    pub(in crate::serve) why: String,
}

impl VerdictBody {
    fn check(&self) -> Result<(), Problem> {
        if !(1..=WHO_CHARS_MAX).contains(&self.who.chars().count()) {
            return Err(invalid(format!("`who` must have 1 to {WHO_CHARS_MAX} characters")));
        }
        if self.why.chars().count() > WHY_CHARS_MAX {
            return Err(invalid(format!("`why` must have at most {WHY_CHARS_MAX} characters")));
        }
        Ok(())
    }
}

/// Takes a verdict.
pub(super) async fn judge(
    kind: FindingKind,
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    id: Id,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    Parameters::parse(query.as_deref(), &[])?;
    let id = known_id(kind, id)?;
    let body = read_body(request).await?;
    let verdict = give(&api, kind, id, caller, body).await?;
    Ok(json(StatusCode::CREATED, &verdict))
}

/// Checks a verdict, and takes it.
pub(in crate::serve) async fn give(
    api: &Api,
    kind: FindingKind,
    id: String,
    caller: Caller,
    body: VerdictBody,
) -> Result<Verdict, Problem> {
    body.check()?;
    let new = NewVerdict {
        verdict: body.verdict,
        who: body.who,
        why: body.why,
        token: caller.token,
        given_at: chrono::Utc::now().timestamp_micros(),
    };
    let (history, metrics) = (api.shared.history.clone(), api.shared.metrics.clone());
    let give = move || {
        let given = history.give(kind, &id, &new)?;
        // The keeper does it too, later.
        let _ = history.measure_verdicts(&metrics);
        Ok(given)
    };
    match api.shared.desk.ask(give).await? {
        Given::Taken(verdict) => Ok(verdict),
        Given::Unknown => Err(unknown(kind)),
        Given::TooMany => {
            Err(Problem::new(StatusCode::CONFLICT, "there are too many verdicts on it"))
        }
    }
}

async fn read_body(request: Request) -> Result<VerdictBody, Problem> {
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        let detail = "the content type must be application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let bytes = bytes_of(body).await?;
    let body: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad_request(format!("the body is no JSON: {error}")))?;
    serde_json::from_value(body)
        .map_err(|error| invalid(format!("the body is no verdict: {error}")))
}

fn invalid(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

/// A body that is not too long, and comes in time.
pub(in crate::serve) async fn bytes_of(body: Body) -> Result<axum::body::Bytes, Problem> {
    match tokio::time::timeout(BODY_WITHIN, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            let detail =
                format!("the body must come whole, and with at most {BODY_BYTES_MAX} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = given.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

#[derive(Serialize)]
struct RuleItem {
    id: String,
    /// `None` of a rule that does not run.
    title: Option<String>,
    severity: Option<Severity>,
    running: bool,
    alerts: u64,
    verdicts: VerdictCounts,
    precision: Option<f64>,
}

#[derive(Serialize)]
struct VerdictCounts {
    true_positive: u64,
    benign: u64,
    false_positive: u64,
}

/// Rules that run, and rules of which there are alerts.
pub(super) async fn rules(State(api): State<Api>, RawQuery(query): RawQuery) -> Answer {
    Parameters::parse(query.as_deref(), &[])?;
    let history = api.shared.history.clone();
    let mut counts = api.shared.desk.ask(move || history.rules()).await?;
    let running = api.shared.catalog.rules();
    for entry in running.iter() {
        if !counts.iter().any(|one| one.rule == entry.id) {
            counts.push(RuleCounts { rule: entry.id.clone(), alerts: 0, verdicts: [0; 3] });
        }
    }
    counts.sort_by(|left, right| left.rule.cmp(&right.rule));
    let item = |one: RuleCounts| {
        let entry = running.iter().find(|entry| entry.id == one.rule);
        let [true_positive, benign, false_positive] = one.verdicts;
        RuleItem {
            title: entry.map(|entry| entry.front.title.clone()),
            severity: entry.map(|entry| entry.front.severity),
            running: entry.is_some(),
            alerts: one.alerts,
            verdicts: VerdictCounts { true_positive, benign, false_positive },
            precision: one.precision(),
            id: one.rule,
        }
    };
    let items = counts.into_iter().map(item).collect();
    Ok(json(StatusCode::OK, &List::<RuleItem> { items, next_cursor: None }))
}

/// The description of the API.
pub(super) async fn document(RawQuery(query): RawQuery) -> Answer {
    Parameters::parse(query.as_deref(), &[])?;
    Ok(([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response())
}
