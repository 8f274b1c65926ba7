//! QEMU's control socket, as far as it is used here.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::EmulatorError;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session.
pub struct Qmp {
    lines: BufReader<TcpStream>,
    /// Commands whose answer was not waited for.
    owed: usize,
}

impl Qmp {
    /// Greets QEMU.
    pub fn greet(stream: TcpStream) -> Result<Self, EmulatorError> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut session = Self {
            lines: BufReader::new(stream),
            owed: 0,
        };
        session.line()?;
        session.run("qmp_capabilities", &json!({}))?;
        Ok(session)
    }

    /// Gives a command and waits until it is carried out.
    pub fn run(&mut self, command: &str, arguments: &Value) -> Result<(), EmulatorError> {
        self.start(command, arguments)?;
        while self.owed > 0 {
            let line = self.line()?;
            if let Some(error) = line.get("error") {
                return Err(EmulatorError::Protocol {
                    program: "QEMU",
                    what: format!("{command}: {error}"),
                });
            }
            // Everything else is an event.
            self.owed -= usize::from(line.get("return").is_some());
        }
        Ok(())
    }

    /// Gives a command; its answer is read before the next one's.
    pub fn start(&mut self, command: &str, arguments: &Value) -> Result<(), EmulatorError> {
        let line = json!({ "execute": command, "arguments": arguments }).to_string() + "\n";
        self.lines.get_mut().write_all(line.as_bytes())?;
        self.owed += 1;
        Ok(())
    }

    fn line(&mut self) -> Result<Value, EmulatorError> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|error| EmulatorError::Protocol {
            program: "QEMU",
            what: format!("{error} in {line:?}"),
        })
    }
}
