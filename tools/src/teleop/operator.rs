//! What the operator asks for while an arm is moved: keys on a terminal, signals everywhere.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, poll, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Hold, or go on.
    Hold,
    /// Begin an episode, or end the one that is running.
    Episode,
    /// The episode goes into the data set, or does not.
    Keep(bool),
    /// The episode did what it was to do, or did not.
    Success(bool),
    /// The last seconds go into the data set.
    KeepLast,
    /// Another joint, for keys that move one.
    Choose { forward: bool },
    /// That joint moves.
    Move { up: bool },
    /// Park and release.
    Quit,
}

/// The operator.
pub struct Operator {
    stop: Arc<AtomicBool>,
    terminal: bool,
}

impl Operator {
    /// Reads keys where there is a terminal. Interrupt, termination and a lost terminal end like `q`.
    pub fn new(keys: bool) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&stop))
                .context("signals cannot be listened to")?;
        }
        let terminal = keys && io::stdin().is_terminal() && io::stdout().is_terminal();
        if terminal {
            enable_raw_mode()?;
        }
        Ok(Self { stop, terminal })
    }

    /// Whether keys are read.
    pub fn has_keys(&self) -> bool {
        self.terminal
    }

    /// What was asked for since the last call; `None` where there is nothing more. Does not wait.
    pub fn next(&mut self) -> Option<Wish> {
        if self.stop.load(Ordering::Relaxed) {
            return Some(Wish::Quit);
        }
        if !self.terminal {
            return None;
        }
        loop {
            match poll(Duration::ZERO) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(_) => return Some(Wish::Quit),
            }
            match read() {
                Err(_) => return Some(Wish::Quit),
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    let control = key.modifiers.contains(KeyModifiers::CONTROL);
                    if let Some(wish) = wish(key.code, control) {
                        return Some(wish);
                    }
                }
                Ok(_) => {}
            }
        }
    }
}

fn wish(code: KeyCode, control: bool) -> Option<Wish> {
    Some(match code {
        KeyCode::Char('c') if control => Wish::Quit,
        KeyCode::Char('q') => Wish::Quit,
        KeyCode::Char(' ') => Wish::Hold,
        KeyCode::Enter => Wish::Episode,
        KeyCode::Char('y') => Wish::Success(true),
        KeyCode::Char('n') => Wish::Success(false),
        KeyCode::Char('k') => Wish::Keep(true),
        KeyCode::Char('d') => Wish::Keep(false),
        KeyCode::Char('l') => Wish::KeepLast,
        KeyCode::Up | KeyCode::Down => Wish::Choose {
            forward: code == KeyCode::Down,
        },
        KeyCode::Left | KeyCode::Right => Wish::Move {
            up: code == KeyCode::Right,
        },
        _ => return None,
    })
}

impl Drop for Operator {
    fn drop(&mut self) {
        if self.terminal {
            // The terminal may be gone.
            let _ = disable_raw_mode();
        }
    }
}
