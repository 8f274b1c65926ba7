//! A line whose answers stand in a script, for tests.

use std::collections::VecDeque;
use std::vec::Vec;

use super::BusPort;

/// Plays back answers: one for every packet sent.
#[derive(Debug, Default)]
pub struct Scripted {
    /// What was sent so far.
    pub sent: Vec<Vec<u8>>,
    /// Answers still to come, each to the next packet.
    pub answers: VecDeque<Vec<u8>>,
    /// Bytes on the line.
    pub line: VecDeque<u8>,
    /// Time waited in vain, microseconds.
    pub waited_us: u32,
    /// Most bytes that come at once.
    pub portion: usize,
}

impl Scripted {
    /// Answers in order.
    pub fn new<const N: usize>(answers: [&[u8]; N]) -> Self {
        Self {
            answers: answers.iter().map(|answer| answer.to_vec()).collect(),
            portion: usize::MAX,
            ..Self::default()
        }
    }
}

impl BusPort for Scripted {
    type Error = core::convert::Infallible;

    fn send(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.sent.push(bytes.to_vec());
        self.line
            .extend(self.answers.pop_front().unwrap_or_default());
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], left_us: &mut u32) -> Result<usize, Self::Error> {
        let count = self.line.len().min(buffer.len()).min(self.portion);
        if count == 0 {
            self.waited_us += *left_us;
            *left_us = 0;
        }
        for slot in buffer.iter_mut().take(count) {
            *slot = self.line.pop_front().unwrap();
        }
        Ok(count)
    }
}
