//! Who is signed in. Sessions live in memory: a restart ends them all. One lasts no longer than its token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::serve::api::tokens::{Caller, Role, Sha, digest, is_same};
use crate::{Error, Result};

/// Of more sessions, the one that was used longest ago ends.
const SESSIONS_MAX: usize = 256;
/// A session ends when it is not used for so long.
const IDLE_MAX: Duration = Duration::from_secs(3600);
/// And at the latest after so long.
pub(super) const AGE_MAX: Duration = Duration::from_secs(12 * 3600);

/// Who looks at a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Viewer {
    pub(super) caller: Caller,
    /// What each of this viewer's forms must carry.
    pub(super) form_token: String,
}

impl Viewer {
    /// Whether verdicts may be given.
    pub(super) fn may_judge(&self) -> bool {
        self.caller.role >= Role::Write
    }

    /// Whether a form is one of ours, made for this viewer. Takes as long for each.
    pub(super) fn is_own_form(&self, form_token: &str) -> bool {
        is_same(&digest(form_token), &digest(&self.form_token))
    }
}

#[derive(Debug)]
struct Session {
    token: Sha,
    form_token: String,
    began: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.used) > IDLE_MAX || now.duration_since(self.began) > AGE_MAX
    }
}

/// All sessions, by the hash of what the cookie says.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Sha, Session>>);

impl Sessions {
    /// Begins a session of whoever has a token, by its hash; gives the value of its cookie.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn begin(&self, token: Sha, now: Instant) -> Result<String> {
        let (cookie, form_token) = (random()?, random()?);
        let session = Session { token, form_token, began: now, used: now };
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| !session.is_over(now));
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used);
            if let Some(key) = oldest.map(|(key, _)| *key) {
                sessions.remove(&key);
            }
        }
        sessions.insert(digest(&cookie), session);
        Ok(cookie)
    }

    /// The hash of the token to which a cookie belongs, and the token of its forms, if the session is
    /// not over.
    pub(super) fn find(&self, cookie: &str, now: Instant) -> Option<(Sha, String)> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(&digest(cookie)).filter(|session| !session.is_over(now))?;
        session.used = now;
        Some((session.token, session.form_token.clone()))
    }

    /// Ends a session.
    pub(super) fn end(&self, cookie: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest(cookie));
    }
}

/// 64 hexadecimal digits that nobody guesses.
///
/// # Errors
/// When the system gives no random bytes.
pub(super) fn random() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::unexpected("the system gives no random bytes").detail(error.to_string())
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_old_or_told_so() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let idle = sessions.begin(digest("a token"), start).unwrap();
        assert!(sessions.find(&idle, after(3600)).is_some());
        assert!(sessions.find(&idle, after(7201)).is_none());
        let old = sessions.begin(digest("a token"), start).unwrap();
        assert!((1..=24).all(|half| sessions.find(&old, after(half * 1800)).is_some()));
        assert!(sessions.find(&old, after(24 * 1800 + 1)).is_none());
        let ended = sessions.begin(digest("a token"), start).unwrap();
        sessions.end(&ended);
        assert!(sessions.find(&ended, start).is_none());
        assert!(sessions.find("", start).is_none());
    }

    #[test]
    fn of_too_many_the_one_used_longest_ago_goes() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let at = |number: usize| start + Duration::from_millis(number as u64);
        let cookies: Vec<String> = (0..=SESSIONS_MAX)
            .map(|number| sessions.begin(digest("a token"), at(number)).unwrap())
            .collect();
        let now = at(SESSIONS_MAX);
        let alive = cookies.iter().filter(|cookie| sessions.find(cookie, now).is_some());
        assert_eq!(alive.count(), SESSIONS_MAX);
        assert!(sessions.find(&cookies[0], now).is_none());
    }

    #[test]
    fn a_form_is_known_by_its_token_alone() {
        let caller = Caller { role: Role::Read, token: Some("grafana".to_owned()) };
        let viewer = Viewer { caller, form_token: random().unwrap() };
        assert!(viewer.is_own_form(&viewer.form_token));
        for wrong in ["", "0", &viewer.form_token[1..], &random().unwrap()] {
            assert!(!viewer.is_own_form(wrong));
        }
        assert!(!viewer.may_judge());
    }
}
