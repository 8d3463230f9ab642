//! Addresses of receivers.

use reqwest::Url;

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

/// An address that is a secret itself: an error does not show it.
///
/// # Errors
/// When it is no `http` or `https` URL.
pub(crate) fn secret<'a>(url: &'a str, key: &str) -> Result<&'a str> {
    parse(url).map(|_| url).map_err(|error| error.at(key))
}

fn parse(url: &str) -> Result<Url> {
    let wrong = || Error::usage("this is no http or https URL");
    let parsed = Url::parse(url).map_err(|error| wrong().detail(error.to_string()))?;
    match parsed.scheme() {
        "http" | "https" if parsed.has_host() => Ok(parsed),
        _ => Err(wrong()),
    }
}

/// A secret that stands in a header or a document.
///
/// # Errors
/// When it has characters that no token has.
pub(crate) fn token<'a>(token: &'a str, key: &str) -> Result<&'a str> {
    if token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(token);
    }
    Err(Error::usage("the secret is more than one line, or not plain ASCII").at(key))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let error = secret("hooks.example/T0/hush", "url_file").unwrap_err().to_string();
        assert!(error.contains("url_file") && !error.contains("hush"), "{error}");
        assert!(secret("https://hooks.example/T0/x?sig=y", "url_file").is_ok());
        let error = token("hush\nInjected: yes", "token_file").unwrap_err().to_string();
        assert!(!error.contains("hush"), "{error}");
    }
}
