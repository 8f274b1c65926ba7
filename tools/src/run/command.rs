//! What an operator asks of a run.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex};

use anyhow::Result;

use super::console::Console;
use super::status::Status;
use super::stop::Stop;

/// One wish.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The arm holds.
    Hold,
    /// The policy goes on.
    GoOn,
    /// The policy is told something else.
    Instruct(String),
    /// The next lower speed, and after the lowest the highest.
    Speed,
    /// A person takes over, or gives back.
    TakeOver,
    /// Another joint is chosen, while a person drives with keys.
    Choose(bool),
    /// The joint that is chosen moves.
    Press(bool),
    /// The episode did what it was to do, or did not.
    Success(bool),
    /// Park and let go.
    Quit,
}

/// Where wishes come from, and what the operator is shown.
pub struct Commands {
    received: Option<Receiver<Command>>,
    shown: Arc<Mutex<Status>>,
    console: Option<Console>,
}

impl Commands {
    /// Nobody asks for anything.
    pub fn none() -> Self {
        Self {
            received: None,
            shown: Arc::default(),
            console: None,
        }
    }

    /// An operator at this terminal.
    pub fn from_console(stop: &Stop) -> Result<Self> {
        let (send, received) = channel();
        let shown: Arc<Mutex<Status>> = Arc::default();
        Ok(Self {
            received: Some(received),
            console: Some(Console::start(send, Arc::clone(&shown), stop.clone())?),
            shown,
        })
    }

    /// The next wish, if there is one. A console that has ended wants the end.
    pub fn next(&self) -> Option<Command> {
        match self.received.as_ref()?.try_recv() {
            Ok(command) => Some(command),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Command::Quit),
        }
    }

    /// Shows the operator how things are; a console that is busy drawing is not waited for.
    pub fn show(&self, write: impl FnOnce(&mut Status)) {
        if let Ok(mut shown) = self.shown.try_lock() {
            write(&mut shown);
        }
    }

    /// Gives the terminal back.
    pub fn close(&mut self) {
        self.console = None;
    }
}
