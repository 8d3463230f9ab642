//! Verdicts by form: what it was, who says so, and why.

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::session::Viewer;
use super::{Asked, Console, door, page, parts};
use crate::history::{FindingKind, Verdict, VerdictLabel};
use crate::markup::{more, shown};
use crate::serve::api::handlers::{self, Id, VerdictBody, WHO_CHARS_MAX, WHY_CHARS_MAX};
use crate::serve::api::parameters::Parameters;
use crate::serve::api::problem::Problem;

/// Verdicts that stand on a page, the newest ones.
const VERDICTS_MAX: usize = 20;

/// What a button says, and what that means.
const CHOICES: [(VerdictLabel, &str, &str); 3] = [
    (VerdictLabel::TruePositive, "True positive", "an attack: what the rule is to find"),
    (VerdictLabel::Benign, "Benign", "what the rule describes, and nobody is harmed"),
    (VerdictLabel::FalsePositive, "False positive", "not what the rule describes"),
];

/// The verdicts so far, and the form where the viewer may give one.
pub(super) fn section(
    kind: FindingKind,
    id: &str,
    verdicts: &[Verdict],
    viewer: &Viewer,
) -> Markup {
    html! {
        section.panel #verdicts aria-labelledby="verdict" {
            h2 #verdict { "Verdict" }
            @if verdicts.is_empty() { p.soft { "None so far." } }
            @else { ul.verdicts { @for one in verdicts.iter().rev().take(VERDICTS_MAX) { li { (given(one)) } } } }
            (more(verdicts.len() as u64, VERDICTS_MAX, "older ones"))
            @if viewer.may_judge() { (form(kind, id, viewer)) }
            @else { p.soft { "Giving one needs a token with the role " code { "write" } "." } }
        }
    }
}

fn given(one: &Verdict) -> Markup {
    html! {
        (parts::verdict(one.verdict)) " " b { (shown(&one.who)) } " " span.soft { (parts::when(&one.given_at)) }
        @if let Some(token) = &one.token { span.soft { ", token " (shown(token)) } }
        @if !one.why.is_empty() { p.why { (shown(&one.why)) } }
    }
}

fn form(kind: FindingKind, id: &str, viewer: &Viewer) -> Markup {
    let who = viewer.caller.token.as_deref().unwrap_or_default();
    html! {
        form.judge method="post" action=(format!("/{}s/{id}/verdict", kind.label())) {
            input type="hidden" name="form" value=(viewer.form_token);
            label { "Who"
                input type="text" name="who" required maxlength=(WHO_CHARS_MAX) value=(who) autocomplete="name"; }
            label { "Why" textarea name="why" rows="2" maxlength=(WHY_CHARS_MAX) {} }
            @for (verdict, name, meaning) in CHOICES {
                button type="submit" name="verdict" value=(verdict.label()) class=(verdict.label())
                    title=(meaning) { (name) }
            }
        }
    }
}

/// `POST .../verdict`
pub(super) async fn judge(
    kind: FindingKind,
    State(console): State<Console>,
    Extension(viewer): Extension<Viewer>,
    id: Id,
    request: Request,
) -> Response {
    match take(kind, &console, &viewer, id, request).await {
        Ok(id) => door::see(&format!("/{}s/{id}#verdicts", kind.label())),
        Err(problem) => page::failure(Some(&viewer), &problem),
    }
}

async fn take(
    kind: FindingKind,
    console: &Console,
    viewer: &Viewer,
    id: Id,
    request: Request,
) -> Asked<String> {
    let form = door::form(request, &["form", "who", "why", "verdict"]).await?;
    door::own_form(viewer, &form)?;
    if !viewer.may_judge() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the token has not the role write"));
    }
    let id = handlers::known_id(kind, id)?;
    let body = body(&form)?;
    let caller = viewer.caller.clone();
    handlers::give(&console.shared.api, kind, id.clone(), caller, body).await?;
    Ok(id)
}

fn body(form: &Parameters) -> Asked<VerdictBody> {
    let text = |name| form.get(name).unwrap_or_default().trim().to_owned();
    let chosen = text("verdict");
    let verdict = VerdictLabel::ALL.into_iter().find(|one| one.label() == chosen);
    let verdict = verdict.ok_or_else(|| {
        let detail = "`verdict` must be true_positive, benign or false_positive";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })?;
    Ok(VerdictBody { verdict, who: text("who"), why: text("why") })
}
