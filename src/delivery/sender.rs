//! Sends one request and says what its answer means. Whoever asks decides when to ask again.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode};

use super::address::AddressPolicy;
use super::http_destination::Request;
use crate::alert::escape;
use crate::config::HttpOptions;
use crate::{Error, Result};

/// Bytes of an answer that are shown.
const SHOWN_BYTES: usize = 200;
/// Nobody is waited for longer, whatever `Retry-After` says.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
const USER_AGENT: &str = concat!("nightlatch/", env!("CARGO_PKG_VERSION"));

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has it.
    Delivered,
    /// Not now; perhaps after so long.
    Later(Option<Duration>),
    /// Never this request.
    Refused,
    /// Never anything again.
    Gone,
}

/// An answer, or that there was none.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// Status and the first bytes of the answer, or why there was none. Safe to show.
    pub(crate) said: String,
}

/// A client with the options of one destination.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    client: Client,
    policy: AddressPolicy,
}

impl Sender {
    /// # Errors
    /// When the certificates cannot be read.
    pub(crate) fn new(options: &HttpOptions) -> Result<Self> {
        let policy =
            AddressPolicy { allow_private: options.allow_private, allow_http: options.allow_http };
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(policy))
            .timeout(options.timeout);
        if let Some(path) = &options.ca_file {
            let unusable = |reason: String| {
                Error::usage("the file of certificate authorities cannot be used")
                    .at(path.display().to_string())
                    .detail(reason)
            };
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|error| unusable(chain(&error)))?;
            if certificates.is_empty() {
                return Err(unusable("it holds no certificate in PEM form".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| {
            Error::unexpected("the HTTP client cannot be made").detail(chain(&error))
        })?;
        Ok(Self { client, policy })
    }

    /// One attempt.
    pub(crate) async fn send(&self, request: Request) -> Answer {
        let later = |said| Answer { verdict: Verdict::Later(None), said };
        let url = match self.policy.check(&request.url) {
            Ok(url) => url,
            Err(reason) => return later(reason),
        };
        let Some(headers) = headers(&request.headers) else {
            return later("a header holds a character that no header may hold".to_owned());
        };
        match self.client.post(url).headers(headers).body(request.body).send().await {
            Ok(response) => answer(response).await,
            // The error would name the address, whose path may be a secret.
            Err(error) => later(chain(&error.without_url())),
        }
    }
}

fn headers(all: &[(&'static str, String)]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
    }
    Some(headers)
}

async fn answer(mut response: Response) -> Answer {
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait.and_then(|text| retry_after(text, SystemTime::now()));
    let mut said = status.to_string();
    let mut body = Vec::new();
    while body.len() < SHOWN_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend(chunk.iter().take(SHOWN_BYTES - body.len()));
    }
    if !status.is_success() && !body.is_empty() {
        let _ = write!(said, ": {}", escape(&String::from_utf8_lossy(&body))); // a String takes it
    }
    if status.is_redirection() {
        said.push_str(" (redirects are not followed)");
    }
    Answer { verdict: verdict(status, wait), said }
}

fn verdict(status: StatusCode, wait: Option<Duration>) -> Verdict {
    match status.as_u16() {
        200..=299 => Verdict::Delivered,
        410 => Verdict::Gone,
        // The request itself is wrong, or too large: it will never be taken.
        400 | 406 | 411 | 413 | 414 | 415 | 422 | 431 => Verdict::Refused,
        // Also a wrong token or path: somebody will correct that.
        _ => Verdict::Later(wait),
    }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = DateTime::parse_from_rfc2822(text).ok()?.timestamp();
            let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
            Duration::from_secs(u64::try_from(date).ok()?.saturating_sub(now))
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}"); // a String takes every write
        cause = error.source();
    }
    escape(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_for_ever() {
        let now = UNIX_EPOCH + Duration::from_secs(1_445_412_420);
        let seconds = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:28:00 GMT"), Some(60));
        assert_eq!(seconds("Tue, 20 Oct 2015 07:28:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999"), Some(24 * 3600));
        for odd in ["", "-1", "soon", "1.5", "Wed, 21 Oct 2015"] {
            assert_eq!(seconds(odd), None, "{odd}");
        }
    }

    #[test]
    fn each_status_has_a_meaning() {
        let of = |status| verdict(StatusCode::from_u16(status).unwrap(), None);
        assert!([200, 202, 204].into_iter().all(|status| of(status) == Verdict::Delivered));
        assert!([400, 413, 422].into_iter().all(|status| of(status) == Verdict::Refused));
        assert_eq!(of(410), Verdict::Gone);
        for status in [301, 307, 401, 403, 404, 408, 429, 500, 502, 503, 504] {
            assert_eq!(of(status), Verdict::Later(None), "{status}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        let options = HttpOptions { ca_file: Some(path), ..HttpOptions::default() };
        assert_eq!(Sender::new(&options).unwrap_err().exit_code(), 64);
    }
}
