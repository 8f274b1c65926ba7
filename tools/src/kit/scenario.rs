//! A script's lines, one after the other.

use std::io::{self, Write};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::program::Program;
use super::table::KitTable;
use crate::bad_input::bad_input;

/// A kit, and the program that is run at it.
pub struct Scenario {
    table: KitTable,
    program: Option<Program>,
    start: Instant,
}

impl Scenario {
    /// Nothing was done yet.
    pub fn new(table: KitTable) -> Self {
        Self {
            table,
            program: None,
            start: Instant::now(),
        }
    }

    /// Does what a line says.
    pub fn act(&mut self, line: &str) -> Result<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        if word.is_empty() || word.starts_with('#') {
            return Ok(());
        }
        if !matches!(word, "expect" | "show" | "ends") {
            let seconds = self.start.elapsed().as_secs_f64();
            writeln!(io::stdout(), "\n[{seconds:6.1} s] {line}")?;
        }
        match word {
            "adapter" if rest == "out" => self.table.pull_adapter()?,
            "adapter" if rest == "in" => self.table.plug_adapter()?,
            "adapter" => return Err(bad_input("an adapter goes out or in")),
            "settle" => self.table.settle()?,
            "run" => {
                if self.program.is_some() {
                    return Err(bad_input("the program before has not ended: `ends` first"));
                }
                let args: Vec<&str> = rest.split_whitespace().collect();
                self.program = Some(Program::start(&args)?);
            }
            "expect" => self.program()?.expect(rest)?,
            "answer" => self.program()?.answer(rest)?,
            "signal" => self.program()?.signal(rest)?,
            "sh" => {
                let status = Command::new("sh").arg("-c").arg(rest).status()?;
                if !status.success() {
                    bail!("the command ended with {status}");
                }
            }
            "wait" => match rest.parse() {
                Ok(seconds) if (0.0..=60.0).contains(&seconds) => {
                    thread::sleep(Duration::from_secs_f64(seconds));
                }
                _ => {
                    return Err(bad_input(format!(
                        "{rest} is no number of seconds up to 60"
                    )));
                }
            },
            "ends" => {
                let wanted: i32 = match rest {
                    "" => 0,
                    code => code
                        .parse()
                        .map_err(|_| bad_input(format!("{code} is no exit code")))?,
                };
                let status = self.program()?.end()?;
                self.program = None;
                if status.code() != Some(wanted) {
                    bail!("the program ended with {status}, {wanted} was expected");
                }
            }
            "show" => writeln!(io::stdout(), "{}", self.table.look()?)?,
            _ => self.table.obey(line)?,
        }
        io::stdout().flush()?;
        Ok(())
    }

    /// After the last line.
    pub fn finish(&mut self) -> Result<()> {
        if self.program.is_some() {
            return Err(bad_input(
                "the script has ended and the program has not: `ends` is missing",
            ));
        }
        Ok(())
    }

    fn program(&mut self) -> Result<&mut Program> {
        self.program
            .as_mut()
            .ok_or_else(|| bad_input("no program was started: `run` first"))
    }
}
