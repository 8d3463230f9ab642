//! Tokens for OAUTHBEARER: from a file that somebody else renews, or by client credentials.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;
use serde::Deserialize;

use crate::config::secret::Secret;
use crate::{Error, Result};

/// A token that does not say how long it lives is renewed after this.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// The server of tokens must answer within this: nothing else is polled meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where tokens come from.
#[derive(Debug, Clone)]
pub(crate) enum Tokens {
    /// A file, read each time.
    File(PathBuf),
    /// The client credentials grant of OAuth 2.
    Client {
        /// Where to ask.
        url: String,
        /// Name of this client.
        id: String,
        /// Its secret.
        secret: Secret,
        /// What is asked for.
        scope: Option<String>,
    },
}

/// The claims of a JSON web token that matter here; any other token has none.
#[derive(Debug, Default, Deserialize)]
struct Claims {
    exp: Option<f64>,
    sub: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    expires_in: Option<u64>,
    error: Option<String>,
}

impl Tokens {
    /// A token that is good from now on.
    ///
    /// # Errors
    /// When there is none, or only one that has run out.
    pub(crate) fn next(&self) -> Result<OAuthToken> {
        let (token, lifetime, place) = match self {
            Self::File(path) => {
                let secret = Secret::read(path)?;
                (secret.expose().trim().to_owned(), LIFETIME, path.display().to_string())
            }
            Self::Client { url, id, secret, scope } => {
                let (token, lifetime) = ask(url, id, secret, scope.as_deref())?;
                (token, lifetime, url.clone())
            }
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = claims(&token);
        let expiry_seconds = claims.exp.unwrap_or((now + lifetime).as_secs_f64());
        if expiry_seconds <= now.as_secs_f64() {
            return Err(Error::unavailable("the token for Kafka has expired").at(place));
        }
        Ok(OAuthToken {
            token,
            principal_name: claims.sub.unwrap_or_else(|| "nightlatch".to_owned()),
            lifetime_ms: (expiry_seconds * 1000.0) as i64,
        })
    }
}

/// What a JSON web token says of itself; it is the broker that verifies it.
fn claims(token: &str) -> Claims {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).unwrap_or_default();
    serde_json::from_slice(&json).unwrap_or_default()
}

fn ask(url: &str, id: &str, secret: &Secret, scope: Option<&str>) -> Result<(String, Duration)> {
    let failed = |detail: String| {
        Error::unavailable("no token for Kafka")
            .at(url)
            .detail(detail)
            .hint("check `kafka.sasl.token_url`, `client_id` and `client_secret_file`")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(error.to_string()))?;
    let answer = runtime.block_on(async {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let request = client
            .post(url)
            .basic_auth(id, Some(secret.expose()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form(scope));
        let response = request.send().await?;
        Ok::<_, reqwest::Error>((response.status(), response.bytes().await?))
    });
    let (status, body) = answer.map_err(|error| failed(reason(error.without_url())))?;
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|_| failed(format!("the server answered {status} without JSON")))?;
    match answer.access_token {
        Some(token) if status.is_success() => {
            let lifetime = answer.expires_in.map_or(LIFETIME, Duration::from_secs);
            Ok((token, lifetime))
        }
        _ => {
            let why = answer.error.unwrap_or_else(|| "no reason".to_owned());
            Err(failed(format!("the server answered {status}: {why}")))
        }
    }
}

/// The form of the request, encoded as a URL's query is.
fn form(scope: Option<&str>) -> String {
    let grant = "grant_type=client_credentials";
    let url = reqwest::Url::parse("https://form/").ok();
    let encoded = url.zip(scope).and_then(|(mut url, scope)| {
        url.query_pairs_mut().append_pair("scope", scope);
        url.query().map(str::to_owned)
    });
    encoded.map_or_else(|| grant.to_owned(), |scope| format!("{grant}&{scope}"))
}

/// An error with its causes, which say what was wrong.
fn reason(error: reqwest::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), std::error::Error::source(&error));
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn jwt(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.", part(r#"{"alg":"none"}"#), part(claims))
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, Tokens) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o600)).unwrap();
        let tokens = Tokens::File(file.path().to_owned());
        (file, tokens)
    }

    #[test]
    fn a_file_is_read_each_time_and_says_how_long_its_token_lives() {
        let (file, tokens) = file(&jwt(r#"{"sub":"anna","exp":9000000000}"#));
        let token = tokens.next().unwrap();
        assert_eq!((&*token.principal_name, token.lifetime_ms), ("anna", 9_000_000_000_000));
        std::fs::write(file.path(), "opaque\n").unwrap();
        let token = tokens.next().unwrap();
        assert_eq!((&*token.token, &*token.principal_name), ("opaque", "nightlatch"));
        std::fs::write(file.path(), jwt(r#"{"sub":"anna","exp":1000}"#)).unwrap();
        let error = tokens.next().err().unwrap().to_string();
        assert!(error.contains("expired") && !error.contains("anna"), "{error}");
    }

    /// Answers one request, and gives back what was asked.
    fn server(status: &'static str, body: &'static str) -> (String, impl FnOnce() -> String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.windows(5).any(|bytes| bytes == b"kafka") {
                let mut buffer = [0; 4096];
                let n = stream.read(&mut buffer).unwrap();
                assert!(n > 0, "the request broke off");
                asked.extend_from_slice(&buffer[..n]);
            }
            let n = body.len();
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {n}\r\n\r\n{body}").unwrap();
            String::from_utf8(asked).unwrap()
        });
        (url, move || thread.join().unwrap())
    }

    fn client(url: String) -> Tokens {
        let (_file, path) = match file("hunter2") {
            (file, Tokens::File(path)) => (file, path),
            _ => unreachable!(),
        };
        let secret = Secret::read(&path).unwrap();
        Tokens::Client { url, id: "me".to_owned(), secret, scope: Some("a/ kafka".to_owned()) }
    }

    #[test]
    fn a_client_asks_with_its_secret() {
        let (url, asked) = server("200 OK", r#"{"access_token":"opaque","expires_in":60}"#);
        let tokens = client(url);
        assert!(!format!("{tokens:?}").contains("hunter2"));
        assert_eq!(tokens.next().unwrap().token, "opaque");
        let asked = asked().to_lowercase();
        // "me:hunter2"
        assert!(asked.contains("authorization: basic bwu6ahvudgvymg=="), "{asked}");
        assert!(asked.ends_with("grant_type=client_credentials&scope=a%2f+kafka"), "{asked}");
    }

    #[test]
    fn a_refusal_is_told_without_the_secret() {
        let (url, asked) = server("401 Unauthorized", r#"{"error":"invalid_client"}"#);
        let error = client(url).next().err().unwrap().to_string();
        asked();
        assert!(error.contains("401 Unauthorized: invalid_client"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
