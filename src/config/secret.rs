//! Secrets from files: never in the configuration itself, never shown.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::{Error, Result};

/// A longer file is no secret.
const BYTES_MAX: u64 = 64 << 10;
/// Permissions of the group and of others.
const NOT_THE_OWNERS: u32 = 0o077;

/// A secret. Only [`Secret::expose`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Reads a file that only its owner can read, without the white space around the secret.
    ///
    /// # Errors
    /// When it cannot be read, when others can read it too, or when nothing is in it.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let unreadable = |error: std::io::Error| {
            Error::usage("the secret file cannot be read").at(&place).detail(error.to_string())
        };
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.mode();
        if mode & NOT_THE_OWNERS != 0 {
            return Err(Error::usage("the secret file can be read by others")
                .at(&place)
                .detail(format!("its permissions are {:03o}", mode & 0o777))
                .hint(format!("run `chmod 600 {place}`")));
        }
        let mut text = String::new();
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::usage("the secret file is empty").at(&place));
        }
        Ok(Self(text.to_owned()))
    }

    /// The secret itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(********)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_a_file_of_the_owner_alone_is_taken_and_it_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let permit = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        std::fs::write(&path, "hunter2\n").unwrap();
        permit(0o600);
        let secret = Secret::read(&path).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        for mode in [0o640, 0o604, 0o644] {
            permit(mode);
            let error = Secret::read(&path).unwrap_err();
            assert_eq!(error.message, "the secret file can be read by others", "{mode:o}");
            assert_eq!(error.exit_code(), 64);
        }
        permit(0o600);
        std::fs::write(&path, " \n").unwrap();
        assert_eq!(Secret::read(&path).unwrap_err().message, "the secret file is empty");
        assert!(Secret::read(&folder.path().join("nowhere")).is_err());
    }
}
