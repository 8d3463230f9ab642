//! The effective configuration as TOML. It holds no secret: secrets come from files that it names.

use super::Config;
use crate::{Error, Result};

/// The configuration with every default filled in, as TOML.
///
/// # Errors
/// When a value has no form in TOML (a path that is not UTF-8).
pub fn show(config: &Config) -> Result<String> {
    toml::to_string_pretty(config).map_err(|error| {
        Error::unexpected("the configuration cannot be written as TOML").detail(error.to_string())
    })
}
