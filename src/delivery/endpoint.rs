//! Addresses of receivers.

use std::path::Path;

use reqwest::Url;

use crate::config::secret::{Secret, place};
use crate::{Error, Result};

/// An address as configured, without a slash at its end.
///
/// # Errors
/// When it is no `http` or `https` URL, or holds a password: secrets come from files.
pub(crate) fn checked<'a>(url: &'a str, key: &str) -> Result<&'a str> {
    let parsed = parse(url).map_err(|error| error.at(key))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Error::usage("the URL holds a name or a password")
            .at(key)
            .hint("secrets are read from files"));
    }
    Ok(url.trim_end_matches('/'))
}

/// An address that is a secret itself, from the file that `key` names: an error does not show it.
///
/// # Errors
/// When the file cannot be read, can be read by others, or holds no `http` or `https` URL.
pub(crate) fn secret(key: &str, path: &Path) -> Result<Secret> {
    let secret = Secret::of_key(key, path)?;
    parse(secret.expose()).map_err(|error| error.at(place(key, path)))?;
    Ok(secret)
}

fn parse(url: &str) -> Result<Url> {
    let wrong = || Error::usage("this is no http or https URL").hint("write https://HOST/...");
    let parsed = Url::parse(url).map_err(|error| wrong().detail(error.to_string()))?;
    match parsed.scheme() {
        "http" | "https" if parsed.has_host() => Ok(parsed),
        _ => Err(wrong()),
    }
}

/// A secret that stands in a header or a document, from the file that `key` names.
///
/// # Errors
/// When the file cannot be read, can be read by others, or has characters that no token has.
pub(crate) fn token(key: &str, path: &Path) -> Result<Secret> {
    let secret = Secret::of_key(key, path)?;
    if secret.expose().bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(secret);
    }
    Err(Error::usage("the secret is more than one line, or not plain ASCII")
        .at(place(key, path))
        .hint("write the token to the file, and nothing else"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::example::secret_file;

    #[test]
    fn addresses_are_http_and_hold_no_secret() {
        assert_eq!(checked("http://am:9093/", "url").unwrap(), "http://am:9093");
        assert_eq!(checked("https://a.example/b/c", "url").unwrap(), "https://a.example/b/c");
        for url in ["", "am:9093", "ftp://a/", "http://", "file:///etc/passwd", "http://u:p@a/"] {
            assert!(checked(url, "url").is_err(), "{url}");
        }
    }

    #[test]
    fn errors_do_not_show_a_secret() {
        let url = |text: &str| secret("destination.url_file", secret_file(text).path());
        let error = url("hooks.example/T0/hush").unwrap_err().to_string();
        assert!(error.contains("(destination.url_file)") && !error.contains("hush"), "{error}");
        assert!(url("https://hooks.example/T0/x?sig=y").is_ok());
        let file = secret_file("hush\nInjected: yes");
        let error = token("destination.token_file", file.path()).unwrap_err().to_string();
        assert!(error.contains("(destination.token_file)") && !error.contains("hush"), "{error}");
    }
}
