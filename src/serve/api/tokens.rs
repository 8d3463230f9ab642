//! Who may use the API: a file of bearer tokens, one a line, each with a role and a name.
//!
//! ```text
//! # role  name     token, or its SHA-256
//! read    grafana  sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! write   soc      3vX0_a_long_random_text_of_24_or_more
//! ```

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use sha2::{Digest, Sha256};

use crate::config::secret::Secret;
use crate::{Error, Result};

const KEY: &str = "http.tokens_file";
/// Shorter ones can be guessed.
const TOKEN_CHARS_MIN: usize = 24;
const NAME_CHARS_MAX: usize = 64;
const DIGEST_MARK: &str = "sha256:";

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::serve) enum Role {
    Read,
    /// And verdicts.
    Write,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::serve) struct Caller {
    pub(in crate::serve) role: Role,
    /// The name of the token; `None` on loopback without tokens.
    pub(in crate::serve) token: Option<String>,
}

pub(in crate::serve) type Sha = [u8; 32];

/// The tokens as their hashes: the file may hold them in the clear, memory does not.
pub(in crate::serve) struct Tokens {
    path: PathBuf,
    known: RwLock<Vec<(Sha, Caller)>>,
}

/// A hash of a short token is no less a secret.
impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Tokens({})", known.len())
    }
}

impl Tokens {
    /// Reads the file, which must be for its owner alone.
    ///
    /// # Errors
    /// When it cannot be read, when others can read it too, or when a line of it is no token.
    pub(super) fn read(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), known: RwLock::new(Self::of(path)?) })
    }

    /// Reads the file again. Who has a token that is there no more is let in no more.
    ///
    /// # Errors
    /// As [`Tokens::read`]; then the old ones stay.
    pub(super) fn read_again(&self) -> Result<()> {
        let known = Self::of(&self.path)?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    fn of(path: &Path) -> Result<Vec<(Sha, Caller)>> {
        let secret = Secret::of_key(KEY, path)?;
        let lines = (1..).zip(secret.expose().lines());
        let lines = lines.filter(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        let tokens: Vec<(Sha, Caller)> = lines
            .map(|(number, line)| {
                let place = format!("{}:{number} ({KEY})", path.display());
                parse(line).map_err(|error| error.at(place))
            })
            .collect::<Result<_>>()?;
        if tokens.is_empty() {
            return Err(Error::usage("the file holds no token")
                .at(format!("{} ({KEY})", path.display()))
                .hint("a line of it is: read NAME TOKEN"));
        }
        Ok(tokens)
    }

    /// Who has this token. Takes as long for each, right or wrong.
    pub(in crate::serve) fn caller(&self, token: &str) -> Option<Caller> {
        self.caller_with(&digest(token))
    }

    /// Who has the token with this hash.
    pub(in crate::serve) fn caller_with(&self, presented: &Sha) -> Option<Caller> {
        let mut found = None;
        let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
        for (known, caller) in all.iter() {
            if is_same(known, presented) {
                found = Some(caller);
            }
        }
        found.cloned()
    }
}

/// The hash by which a token is known.
pub(in crate::serve) fn digest(token: &str) -> Sha {
    Sha256::digest(token.as_bytes()).into()
}

/// Looks at every byte, wherever the first difference is.
pub(in crate::serve) fn is_same(left: &Sha, right: &Sha) -> bool {
    let differences = left.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differences) == 0
}

fn parse(line: &str) -> Result<(Sha, Caller)> {
    let hint = "a line is: read NAME TOKEN, or: write NAME sha256:64-HEXADECIMAL-DIGITS";
    let mut words = line.split_whitespace();
    let (Some(role), Some(name), Some(token), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Error::usage("the line has not three words").hint(hint));
    };
    let role = match role {
        "read" => Role::Read,
        "write" => Role::Write,
        _ => return Err(Error::usage("the role is neither read nor write").hint(hint)),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() > NAME_CHARS_MAX || !name.chars().all(fits) {
        let hint = format!("use up to {NAME_CHARS_MAX} of a-z, A-Z, 0-9, . _ and -");
        return Err(Error::usage("the name of the token is no name").hint(hint));
    }
    let digest = match token.strip_prefix(DIGEST_MARK) {
        Some(digits) => from_hex(digits).ok_or_else(|| {
            Error::usage("this is no SHA-256").hint("printf %s TOKEN | sha256sum prints it")
        })?,
        None if token.len() < TOKEN_CHARS_MIN => {
            return Err(Error::usage(format!(
                "the token is shorter than {TOKEN_CHARS_MIN} characters"
            ))
            .hint("openssl rand -hex 32 prints a good one"));
        }
        None => self::digest(token),
    };
    Ok((digest, Caller { role, token: Some(name.to_owned()) }))
}

fn from_hex(digits: &str) -> Option<Sha> {
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TOKEN: &str = "0123456789abcdef01234567";

    fn read(text: &str) -> Result<Tokens> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        Tokens::read(file.path())
    }

    #[test]
    fn a_token_stands_there_in_the_clear_or_as_its_hash() {
        let digest: String =
            Sha256::digest(b"another").iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("# who\n\n read  grafana {TOKEN}\nwrite soc sha256:{digest}\r\n");
        let tokens = read(&text).unwrap();
        let caller = |role, name: &str| Some(Caller { role, token: Some(name.to_owned()) });
        assert_eq!(tokens.caller(TOKEN), caller(Role::Read, "grafana"));
        assert_eq!(tokens.caller("another"), caller(Role::Write, "soc"));
        for wrong in ["", "x", &TOKEN[1..], &digest] {
            assert_eq!(tokens.caller(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{tokens:?}"), "Tokens(2)");
    }

    #[test]
    fn a_bad_line_is_told_with_its_number_and_never_shown() {
        let bad = [
            format!("admin soc {TOKEN}"),
            format!("read {TOKEN}"),
            format!("read a/b {TOKEN}"),
            format!("read soc {TOKEN} more"),
            "read soc short".to_owned(),
            "read soc sha256:12".to_owned(),
            format!("read soc sha256:{}", "ä".repeat(32)),
        ];
        for line in bad {
            let error = read(&format!("# one\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains(":2 (http.tokens_file): "), "{error}");
            assert!(!error.contains(TOKEN) && error.contains("hint: "), "{error}");
        }
        assert!(read("# nobody\n").unwrap_err().to_string().contains("holds no token"));
    }
}
