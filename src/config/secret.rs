//! Secrets: read from files that nobody else can read, and never shown.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::{Error, Result};

/// No password, key or token is longer.
const BYTES_MAX: u64 = 64 * 1024;
/// Any right of the group or of others.
const OTHERS: u32 = 0o077;

/// A password, key or token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Reads a secret file; one line end at its end does not count.
    ///
    /// # Errors
    /// When the file cannot be read, when others can read it too, or when it holds no text.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let mut text = String::new();
        file.take(BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|error| unreadable(path, &error))?;
        let trimmed = text.strip_suffix('\n').unwrap_or(&text);
        let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
        if trimmed.is_empty() || trimmed.contains('\0') || text.len() as u64 > BYTES_MAX {
            return Err(Error::usage("the secret file holds no secret")
                .at(path.display().to_string())
                .detail("it is empty, longer than 64 KiB, or not text")
                .hint("write the secret to it, and nothing else"));
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// As [`Secret::read`], for a key of the configuration: errors name it too.
    ///
    /// # Errors
    /// As [`Secret::read`].
    pub(crate) fn of_key(key: &str, path: &Path) -> Result<Self> {
        Self::read(path).map_err(|error| error.at(place(key, path)))
    }

    /// The secret itself: for the one who sends it, and for nobody else.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(********)")
    }
}

/// A file and the key that names it, as errors show them.
pub(crate) fn place(key: &str, path: &Path) -> String {
    format!("{} ({key})", path.display())
}

/// Opens a file that holds a secret, and that is for its owner alone.
///
/// # Errors
/// When it cannot be read, or when others can read it too.
pub(crate) fn open(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let mode = file.metadata().map_err(|error| unreadable(path, &error))?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(Error::usage("the secret file is open to others than its owner")
            .at(path.display().to_string())
            .detail(format!("its mode is {:04o}", mode & 0o7777))
            .hint(format!("chmod 600 {}", path.display())));
    }
    Ok(file)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::usage("the secret file cannot be read")
        .at(path.display().to_string())
        .detail(error.to_string())
        .hint(
            "a path begins at the folder that nightlatch is started in; the file belongs to the \
             user that runs it, has mode 600, and holds text",
        )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn one_line_end_is_taken_off_and_nothing_is_shown() {
        for text in ["hunter2", "hunter2\n", "hunter2\r\n"] {
            let secret = Secret::read(file(text, 0o600).path()).unwrap();
            assert_eq!(secret.expose(), "hunter2");
            assert!(!format!("{secret:?}").contains("hunter2"));
        }
        assert_eq!(Secret::read(file(" a \n\n", 0o400).path()).unwrap().expose(), " a \n");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_way_out() {
        for mode in [0o640, 0o604, 0o644, 0o660] {
            let file = file("hunter2", mode);
            let text = Secret::read(file.path()).unwrap_err().to_string();
            assert!(text.contains(&format!("{mode:04o}")), "{text}");
            assert!(text.contains(&format!("chmod 600 {}", file.path().display())), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for text in ["", "\n", "a\0b"] {
            assert!(Secret::read(file(text, 0o600).path()).is_err(), "{text:?}");
        }
        assert!(Secret::read(file(&"x".repeat(70_000), 0o600).path()).is_err());
        let error = Secret::of_key("a.key_file", Path::new("nowhere/at/all")).unwrap_err();
        let told =
            "nowhere/at/all (a.key_file): the secret file cannot be read\n  detail: No such file";
        assert!(error.to_string().starts_with(told), "{error}");
        assert!(error.hint.is_some_and(|hint| hint.contains("mode 600")));
    }
}
