//! The operator's terminal, on a thread of its own: a slow or lost terminal never delays the control loop.

use std::io::{self, Write};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use crossterm::style::Print;
use crossterm::terminal::{Clear, ClearType};
use crossterm::{cursor, queue};

use super::command::Command;
use super::status::Status;
use super::stop::Stop;
use crate::arm::Screen;

/// Between two pictures.
const PICTURE: Duration = Duration::from_millis(200);

const KEYS: &str = "space hold   Enter go on   i instruction   s speed   t person (up/down joint, left/right move)   y/n success   q park, let go";

/// The thread.
pub struct Console {
    thread: Option<JoinHandle<()>>,
    end: Arc<Mutex<bool>>,
}

impl Console {
    /// Takes the terminal. Where it is lost, `stop` is asked for.
    pub fn start(send: Sender<Command>, shown: Arc<Mutex<Status>>, stop: Stop) -> Result<Self> {
        let end = Arc::new(Mutex::new(false));
        let ends = Arc::clone(&end);
        let thread = Builder::new()
            .name("console".to_owned())
            .spawn(move || {
                if watch(&send, &shown, &ends).is_err() {
                    stop.ask();
                }
            })
            .context("the terminal cannot be watched")?;
        Ok(Self {
            thread: Some(thread),
            end,
        })
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = true;
        if let Some(thread) = self.thread.take() {
            // A panic was told when it happened.
            let _ = thread.join();
        }
    }
}

fn watch(send: &Sender<Command>, shown: &Mutex<Status>, end: &Mutex<bool>) -> io::Result<()> {
    let _screen = Screen::enter()?;
    // The instruction that is being typed.
    let mut typed: Option<String> = None;
    while !*end.lock().unwrap_or_else(PoisonError::into_inner) {
        if poll(PICTURE)?
            && let Event::Key(key) = read()?
            && let Some(command) = wish(&key, &mut typed)
            && send.send(command).is_err()
        {
            return Ok(());
        }
        let status = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        draw(&status, typed.as_deref())?;
    }
    Ok(())
}

fn wish(key: &KeyEvent, typed: &mut Option<String>) -> Option<Command> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return Some(Command::Quit);
    }
    if let Some(text) = typed {
        match key.code {
            KeyCode::Esc => *typed = None,
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Char(letter) => text.push(letter),
            KeyCode::Enter => return typed.take().map(Command::Instruct),
            _ => {}
        }
        return None;
    }
    Some(match key.code {
        KeyCode::Char(' ') => Command::Hold,
        KeyCode::Enter => Command::GoOn,
        KeyCode::Char('i') => {
            *typed = Some(String::new());
            return None;
        }
        KeyCode::Char('s') => Command::Speed,
        KeyCode::Char('t') => Command::TakeOver,
        KeyCode::Up => Command::Choose(false),
        KeyCode::Down => Command::Choose(true),
        KeyCode::Left => Command::Press(false),
        KeyCode::Right => Command::Press(true),
        KeyCode::Char('y') => Command::Success(true),
        KeyCode::Char('n') => Command::Success(false),
        KeyCode::Char('q') | KeyCode::Esc => Command::Quit,
        _ => return None,
    })
}

fn draw(status: &Status, typed: Option<&str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut lines = status.lines();
    lines.push(String::new());
    lines.push(match typed {
        Some(text) => format!("instruction (Enter sends, Esc does not): {text}_"),
        None => KEYS.to_owned(),
    });
    for (row, line) in lines.iter().enumerate() {
        queue!(
            out,
            cursor::MoveTo(0, row as u16),
            Print(line),
            Clear(ClearType::UntilNewLine)
        )?;
    }
    queue!(out, Clear(ClearType::FromCursorDown))?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_wishes_and_an_instruction_is_typed() {
        let mut typed = None;
        let mut press = |code| wish(&KeyEvent::new(code, KeyModifiers::NONE), &mut typed);
        assert_eq!(press(KeyCode::Char(' ')), Some(Command::Hold));
        assert_eq!(press(KeyCode::Enter), Some(Command::GoOn));
        assert_eq!(press(KeyCode::Char('i')), None);
        for letter in "qs".chars() {
            assert_eq!(press(KeyCode::Char(letter)), None);
        }
        assert_eq!(press(KeyCode::Backspace), None);
        assert_eq!(
            press(KeyCode::Enter),
            Some(Command::Instruct("q".to_owned()))
        );
        assert_eq!(press(KeyCode::Char('q')), Some(Command::Quit));
        let mut typed = Some("half".to_owned());
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(wish(&interrupt, &mut typed), Some(Command::Quit));
    }
}
