//! Questions and answers, on a terminal or with a script.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use crossterm::cursor::MoveUp;
use crossterm::queue;
use crossterm::style::Print;
use crossterm::terminal::{Clear, ClearType};
use serde_json::Value;

use crate::bad_input::bad_input;

/// Time between two looks at whether an answer has come.
const LOOK: Duration = Duration::from_millis(1);
/// Time between two pictures of a live view.
const PICTURE: Duration = Duration::from_millis(100);

/// A conversation with the person at the arm.
pub struct Dialogue {
    answers: Receiver<String>,
    /// Whether reports are JSON on standard output. Questions then go to standard error.
    json: bool,
}

impl Dialogue {
    /// Reads answers from standard input from now on.
    pub fn new(json: bool) -> Self {
        let (send, answers) = channel();
        thread::spawn(move || {
            for line in io::stdin().lines() {
                let Ok(line) = line else { break };
                if send.send(line.trim().to_owned()).is_err() {
                    break;
                }
            }
        });
        Self { answers, json }
    }

    /// Says something.
    pub fn tell(&mut self, text: &str) -> Result<()> {
        self.put(&format!("{text}\n"))
    }

    /// Prints a report where it was asked for as JSON.
    pub fn report(&mut self, report: &Value) -> Result<()> {
        if self.json {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, report)?;
            writeln!(out)?;
        }
        Ok(())
    }

    /// Asks, and waits for a line.
    pub fn ask(&mut self, question: &str) -> Result<String> {
        self.ask_while(question, || Ok(vec![]))
    }

    /// Asks, and calls `each` until a line has come: what it returns is shown below the question where there is a terminal.
    pub fn ask_while(
        &mut self,
        question: &str,
        mut each: impl FnMut() -> Result<Vec<String>>,
    ) -> Result<String> {
        self.put(&format!("{question} "))?;
        let live = !self.json && io::stdout().is_terminal();
        let (mut shown, mut due) = (0, std::time::Instant::now());
        loop {
            let lines = each()?;
            if live && !lines.is_empty() && due.elapsed() >= PICTURE {
                due = std::time::Instant::now();
                draw(&lines, shown)?;
                shown = lines.len();
            }
            match self.answers.recv_timeout(LOOK) {
                Ok(answer) => {
                    if shown == 0 {
                        // A script's answer has no newline that is seen.
                        let echo = if io::stdin().is_terminal() { "" } else { "\n" };
                        self.put(echo)?;
                    }
                    return Ok(answer);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.put("\n")?;
                    return Err(bad_input(format!(
                        "standard input ended before this was answered: {question} (run it on a terminal, or give a line for each question)"
                    )));
                }
            }
        }
    }

    fn put(&self, text: &str) -> Result<()> {
        if self.json {
            let mut out = io::stderr().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        } else {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }
}

/// Draws lines below the question, over those that were drawn before.
fn draw(lines: &[String], shown: usize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if shown == 0 {
        queue!(out, Print("\r\n"))?;
    } else {
        queue!(out, MoveUp(shown as u16))?;
    }
    for line in lines {
        queue!(
            out,
            Clear(ClearType::CurrentLine),
            Print(line),
            Print("\r\n")
        )?;
    }
    out.flush()
}
