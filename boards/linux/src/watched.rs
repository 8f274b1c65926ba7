//! Servos whose failures are kept for people: the core only counts them.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use wink_firmware::servo::{ServoBus, ServoState};

/// Failures in a row before they are told: a single answer may get lost.
const TELLING: u32 = 5;

/// What is the matter with servos right now; `None` where nothing is.
#[derive(Debug, Clone, Default)]
pub struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    /// What is the matter.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn tell(&self, trouble: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// Servos that keep what was the matter with the last reads.
pub struct Watched<S> {
    servos: S,
    trouble: Trouble,
    failures: u32,
}

impl<S> Watched<S> {
    /// Nothing is the matter yet.
    pub fn new(servos: S, trouble: Trouble) -> Self {
        Self {
            servos,
            trouble,
            failures: 0,
        }
    }
}

impl<S: ServoBus<Error: Display>> ServoBus for Watched<S> {
    type Error = S::Error;

    fn read(&mut self, states: &mut [ServoState]) -> Result<(), S::Error> {
        let outcome = self.servos.read(states);
        match &outcome {
            Ok(()) if self.failures >= TELLING => {
                self.failures = 0;
                self.trouble.tell(None);
            }
            Ok(()) => self.failures = 0,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures == TELLING {
                    self.trouble.tell(Some(error.to_string()));
                }
            }
        }
        outcome
    }

    fn write(&mut self, goals: &[f32]) -> Result<(), S::Error> {
        self.servos.write(goals)
    }

    fn set_torque(&mut self, on: bool) -> Result<(), S::Error> {
        self.servos.set_torque(on)
    }
}
