//! A Raspberry Pi Pico in rp2040js, which `rp2040js/run.mjs` runs in step: time is the emulated chip's, to the cycle.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::machine::{Feed, Heard, Machine};
use crate::{EmulatorError, Image};

const NAME: &str = "node";

const LOAD: u32 = 1;
const RESET: u32 = 2;
const RUN: u32 = 3;
const PEEK: u32 = 4;
const JUMP: u32 = 5;

/// A running Pico.
pub struct Rp2040js {
    process: Child,
    orders: ChildStdin,
    answers: ChildStdout,
}

impl Rp2040js {
    /// Starts the emulator in `folder` (where `run.mjs` lies and its packages are installed) with an image.
    ///
    /// # Errors
    /// When Node.js or the emulator is not installed, or the image is not one for the Pico.
    pub fn start(image: &Image, folder: &Path) -> Result<Self, EmulatorError> {
        const HINT: &str = "needs Node.js 18 or later; on Debian: apt-get install nodejs npm";

        if !folder.join("node_modules/rp2040js").is_dir() {
            return Err(EmulatorError::NotBuilt {
                command: "boards/build.sh rp2040js".to_owned(),
                path: folder.join("node_modules/rp2040js"),
            });
        }
        let mut process = Command::new(NAME)
            .arg("run.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|source| EmulatorError::NotInstalled {
                program: NAME,
                hint: HINT,
                source,
            })?;
        let (Some(orders), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(ended());
        };
        let mut pico = Self {
            process,
            orders,
            answers,
        };
        let mut order = vec![];
        for (address, bytes) in image.segments()? {
            order.extend(words(&[LOAD, address, bytes.len() as u32]));
            order.extend(bytes);
        }
        order.extend(words(&[RESET]));
        pico.say(&order)?;
        Ok(pico)
    }

    fn say(&mut self, order: &[u8]) -> Result<(), EmulatorError> {
        self.orders
            .write_all(order)
            .and_then(|()| self.orders.flush())
            .map_err(|_| ended())
    }

    fn number(&mut self) -> io::Result<u32> {
        let mut word = [0; 4];
        self.answers.read_exact(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.answers.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn heard(&mut self) -> io::Result<Heard> {
        let passed_us = self.number()?;
        let length = self.number()? as usize;
        let host = self.bytes(length)?;
        let length = self.number()? as usize;
        let servo = self.bytes(length)?;
        Ok(Heard {
            host,
            servo,
            passed_us: Some(passed_us.into()),
        })
    }
}

impl Machine for Rp2040js {
    fn exchange(&mut self, feed: Feed<'_>, limit_us: u64) -> Result<Heard, EmulatorError> {
        let limit_us = u32::try_from(limit_us).unwrap_or(u32::MAX);
        let mut order = words(&[RUN, limit_us, feed.host.len() as u32]);
        order.extend(feed.host);
        order.extend(words(&[feed.servo.len() as u32]));
        for (after_us, byte) in feed.servo {
            let after_us = u32::try_from(*after_us).unwrap_or(u32::MAX);
            order.extend(words(&[after_us, u32::from(*byte)]));
        }
        self.say(&order)?;
        self.heard().map_err(|_| ended())
    }

    fn power_cycle(&mut self) -> Result<(), EmulatorError> {
        self.say(&words(&[RESET]))
    }

    fn peek(&mut self, address: u32, length: usize) -> Result<Vec<u8>, EmulatorError> {
        self.say(&words(&[PEEK, address, length as u32]))?;
        self.bytes(length).map_err(|_| ended())
    }

    fn jump(&mut self, address: u32) -> Result<bool, EmulatorError> {
        self.say(&words(&[JUMP, address])).map(|()| true)
    }
}

impl Drop for Rp2040js {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn ended() -> EmulatorError {
    EmulatorError::Ended {
        program: NAME,
        said: "see above".to_owned(),
    }
}
