//! A program that a script runs: what it prints is shown and looked through, what it reads is given to it.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bad_input::bad_input;

/// Longest wait for what a program shall print, or for its end.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running program.
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    printed: Receiver<Vec<u8>>,
    /// What was printed since the last text that was expected.
    text: String,
}

impl Program {
    /// Starts this very program with other arguments.
    pub fn start(args: &[&str]) -> Result<Self> {
        let own = std::env::current_exe().context("this program's own file is not known")?;
        let mut child = Command::new(own)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("it cannot be started")?;
        let (send, printed) = channel();
        if let Some(stdout) = child.stdout.take() {
            listen(stdout, send.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            listen(stderr, send);
        }
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            printed,
            text: String::new(),
        })
    }

    /// Waits until it has printed `wanted`, and forgets what came before.
    pub fn expect(&mut self, wanted: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text.find(wanted) {
                self.text.drain(..at + wanted.len());
                return Ok(());
            }
            match self.printed.recv_timeout(end - Instant::now()) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => bail!("it was not printed in {PATIENCE:?}"),
                Err(RecvTimeoutError::Disconnected) => bail!("the program ended without it"),
            }
        }
    }

    /// Gives it a line to read.
    pub fn answer(&mut self, line: &str) -> Result<()> {
        let Some(stdin) = &mut self.stdin else {
            bail!("its standard input is closed");
        };
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .context("it does not read its standard input any more")
    }

    /// Sends it a signal.
    pub fn signal(&mut self, name: &str) -> Result<()> {
        if !matches!(name, "TERM" | "INT" | "HUP" | "KILL") {
            return Err(bad_input(format!("{name} is none of TERM, INT, HUP, KILL")));
        }
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status()
            .context("the command `kill` cannot be started")?;
        if !status.success() {
            bail!("`kill` ended with {status}");
        }
        Ok(())
    }

    /// Closes its standard input and waits until it has ended.
    pub fn end(&mut self) -> Result<ExitStatus> {
        self.stdin = None;
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                // What it printed last is shown before what comes next.
                while self.printed.recv_timeout(Duration::from_secs(1)).is_ok() {}
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!("it did not end in {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Shows what comes, and hands it on.
fn listen(mut from: impl Read + Send + 'static, to: Sender<Vec<u8>>) {
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count) = from.read(&mut bytes) {
            let shown = io::stdout().write_all(&bytes[..count]);
            if count == 0 || shown.is_err() || to.send(bytes[..count].to_vec()).is_err() {
                break;
            }
            let _ = io::stdout().flush();
        }
    });
}
