//! The effective configuration as TOML, secrets masked.

use super::Config;
use crate::{Error, Result};

const MASK: &str = "********";

/// Parts of a librdkafka property's name that mark its value as a secret.
const SECRET_MARKS: [&str; 5] = ["password", "secret", "token", "ssl.key.pem", "sasl.jaas"];

/// The configuration with every default filled in, as TOML; secrets are masked.
///
/// # Errors
/// When a value has no form in TOML (a path that is not UTF-8).
pub fn show(config: &Config) -> Result<String> {
    let mut shown = config.clone();
    for (key, value) in &mut shown.kafka.librdkafka {
        if is_secret(key) {
            MASK.clone_into(value);
        }
    }
    toml::to_string_pretty(&shown).map_err(|error| {
        Error::unexpected("the configuration cannot be written as TOML").detail(error.to_string())
    })
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_MARKS.iter().any(|mark| key.contains(mark))
}
