//! What a script sees of the table, which no policy with cameras may: the truth, step by step.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::outcome::Truth;

/// A handle to the truth that a script is shown: the script takes it in another thread than shows it.
#[derive(Debug, Clone, Default)]
pub struct Shown(Arc<Mutex<Option<Truth>>>);

impl Shown {
    /// Shows the true state of the table, which the next step will use.
    pub fn show(&self, truth: Truth) {
        *self.lock() = Some(truth);
    }

    /// Takes what was shown last; `None` where it was taken before.
    #[must_use]
    pub fn take(&self) -> Option<Truth> {
        self.lock().take()
    }

    /// Throws away what was shown.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Truth>> {
        // Each truth is stored in one assignment: after a panic elsewhere the value is still a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
