//! Secrets: read from files that only their owner can read, and never shown.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::{Error, Result};

/// A secret is a line, not a file system.
const BYTES_MAX: u64 = 64 * 1024;
/// What group and others may do with a file.
const OTHERS: u32 = 0o077;

/// A token, key or URL that must not be seen.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(...)")
    }
}

impl Secret {
    /// Reads a file, without the white space around what it holds.
    ///
    /// # Errors
    /// When it cannot be read, is empty, or when group or others have any right to it.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let refused = |error: Error| error.at(path.display().to_string());
        let unreadable = |error: std::io::Error| {
            refused(Error::usage("the secret file cannot be read").detail(error.to_string()))
        };
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if mode & OTHERS != 0 {
            return Err(refused(
                Error::usage("others can read the secret file")
                    .detail(format!("its mode is {:03o}", mode & 0o777))
                    .hint("chmod 600 it, and let the user that runs nightlatch own it"),
            ));
        }
        let mut text = String::new();
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        match text.trim() {
            "" => Err(refused(Error::usage("the secret file is empty"))),
            secret => Ok(Self(secret.to_owned())),
        }
    }

    /// The secret itself, for the one place that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_files_of_the_owner_alone_are_read_and_nothing_shows_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "  hush hush\n").unwrap();
        let with_mode = |mode| {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            Secret::read(&path)
        };
        let secret = with_mode(0o600).unwrap();
        assert_eq!(secret.expose(), "hush hush");
        assert!(!format!("{secret:?}").contains("hush"));
        for mode in [0o640, 0o604, 0o644, 0o660] {
            let error = with_mode(mode).unwrap_err().to_string();
            assert!(error.contains("others can read") && !error.contains("hush"), "{error}");
        }
        std::fs::write(&path, " \n").unwrap();
        assert!(with_mode(0o600).unwrap_err().to_string().contains("is empty"));
        assert!(Secret::read(&folder.path().join("absent")).is_err());
    }
}
