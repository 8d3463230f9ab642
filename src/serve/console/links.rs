//! Addresses of pages.

use std::fmt::Write;

/// A text as a part of a path or of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}"); // a String takes every write
        }
    }
    encoded
}

/// The page of an account. Browsers take `.` and `..` for steps in a path, so these are searched for.
pub(super) fn account(account: &str) -> String {
    match account {
        "" | "." | ".." => format!("/?q={}", encoded(account)),
        _ => format!("/accounts/{}", encoded(account)),
    }
}

/// The page of a rule.
pub(super) fn rule(id: &str) -> String {
    format!("/rules/{}", encoded(id))
}

/// Everything that names an address.
pub(super) fn ip(ip: &str) -> String {
    format!("/?q={}", encoded(ip))
}

/// A path of ours to go back to; what may lead elsewhere leads to the beginning.
pub(super) fn own_path(path: &str) -> &str {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if path.starts_with('/') && !path.starts_with("//") && is_plain { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_fits_into_an_address() {
        assert_eq!(account("ann@example.org"), "/accounts/ann%40example.org");
        assert_eq!(account("a/b?c#d e\"<>%"), "/accounts/a%2Fb%3Fc%23d%20e%22%3C%3E%25");
        assert_eq!(account("Žofie"), "/accounts/%C5%BDofie");
        assert_eq!(account(".."), "/?q=..");
    }

    #[test]
    fn the_way_back_stays_here() {
        assert_eq!(own_path("/alerts/0?x=1"), "/alerts/0?x=1");
        for other in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb", "/ä"]
        {
            assert_eq!(own_path(other), "/", "{other}");
        }
    }
}
