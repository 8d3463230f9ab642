//! One error shape for everything a person may read: message, place, detail, hint.

use std::fmt;

/// What class of failure this is; it decides the exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Wrong flag, configuration, rule or input name: exit 64.
    Usage,
    /// A dependency (broker, port, disk) is not there: exit 69.
    Unavailable,
    /// Anything that should not happen in a sound installation: exit 2.
    Unexpected,
}

/// An error for people: what, where, why, and what to do about it.
///
/// `message` is lower case without a full stop and names the object; `place` is `file:line:column`
/// or a key path; `detail` and `hint` are sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Class, for the exit code.
    pub kind: ErrorKind,
    /// What went wrong.
    pub message: String,
    /// Where: a file with line and column, a configuration key, a topic.
    pub place: Option<String>,
    /// Why.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the user's making: exit 64.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// A dependency that is not there: exit 69.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// A failure that nobody planned for: exit 2.
    pub fn unexpected(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unexpected, message)
    }

    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), place: None, detail: None, hint: None }
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Adds the reason.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code that design section 5 gives to this class.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            ErrorKind::Usage => 64,
            ErrorKind::Unavailable => 69,
            ErrorKind::Unexpected => 2,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, "\n  detail: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The nearest of `candidates` to a misspelt `word`, for "did you mean" hints.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
