//! Ctrl-C and SIGTERM: the first asks to end in good order, the second ends at once. SIGHUP asks `run`
//! to read again what may change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::{Error, Result};

const INTERRUPTED: i32 = 130;

/// Whether somebody asked to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    /// Set by either signal, and by a stage that wants the end; every stage looks at it.
    pub(crate) flag: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Stop {
    /// Listens for both signals from now on.
    pub(super) fn on_signals() -> Result<Self> {
        let stop = Self::default();
        stop.listen().map_err(|error| {
            Error::unexpected("cannot listen for signals").detail(error.to_string())
        })?;
        Ok(stop)
    }

    fn listen(&self) -> std::io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag set by the first.
            let asked = self.asked.clone();
            signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED, asked)?;
            signal_hook::flag::register(signal, self.flag.clone())?;
            signal_hook::flag::register(signal, self.asked.clone())?;
        }
        Ok(())
    }

    /// Listens for SIGHUP from now on; without this it ends the program.
    pub(crate) fn and_reload(self) -> Result<Self> {
        signal_hook::flag::register(SIGHUP, self.reload.clone()).map_err(|error| {
            Error::unexpected("cannot listen for signals").detail(error.to_string())
        })?;
        Ok(self)
    }

    /// Whether SIGHUP came since the last call.
    pub(crate) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    /// Whether either signal came.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}
