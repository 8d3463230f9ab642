//! The memory that learning may take, counted by what is held rather than by what was allocated: so
//! that what is turned away is a function of the events.

/// Bytes in use, and what found no room.
#[derive(Debug)]
pub(super) struct Budget {
    used: u64,
    max: u64,
}

impl Budget {
    pub(super) fn new(max: u64) -> Self {
        Self { used: 0, max }
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Takes so many bytes, if there are as many.
    pub(super) fn take(&mut self, n_bytes: usize) -> bool {
        let used = self.used + n_bytes as u64;
        let fits = used <= self.max;
        if fits {
            self.used = used;
        }
        fits
    }

    /// Takes so many bytes that are in use already, as after a restart.
    pub(super) fn force(&mut self, n_bytes: usize) {
        self.used += n_bytes as u64;
    }

    pub(super) fn give(&mut self, n_bytes: usize) {
        self.used = self.used.saturating_sub(n_bytes as u64);
    }
}
