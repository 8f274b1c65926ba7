//! The board's end of the bus, in this process and in virtual time.

use std::collections::VecDeque;
use std::convert::Infallible;

use super::ServoBus;
use wink_firmware::servo::serial::BusPort;

/// So long between two bytes and the line is silent.
const SILENCE_US: u64 = 100;

/// A port of the firmware's drivers onto a [`ServoBus`]. Sending and waiting take their time on a clock of its own.
#[derive(Debug, Clone)]
pub struct BusEnd {
    bus: ServoBus,
    now_us: u64,
    ready: VecDeque<u8>,
    scratch: Vec<u8>,
}

impl BusEnd {
    /// The end of `bus`, at time 0.
    #[must_use]
    pub const fn new(bus: ServoBus) -> Self {
        Self {
            bus,
            now_us: 0,
            ready: VecDeque::new(),
            scratch: Vec::new(),
        }
    }

    /// The bus.
    pub const fn bus_mut(&mut self) -> &mut ServoBus {
        &mut self.bus
    }

    /// What time it is on the line.
    #[must_use]
    pub const fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Lets the line's time pass until `time_us`; nothing where that has passed.
    pub fn sleep_until(&mut self, time_us: u64) {
        self.now_us = self.now_us.max(time_us);
    }

    /// Takes what is complete by now.
    fn take(&mut self) {
        self.bus.send(self.now_us, &mut self.scratch);
        self.ready.extend(self.scratch.drain(..));
    }
}

impl BusPort for BusEnd {
    type Error = Infallible;

    fn send(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.now_us += bytes.len() as u64 * self.bus.byte_us();
        self.bus.receive(self.now_us, bytes);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], left_us: &mut u32) -> Result<usize, Infallible> {
        let mut count = 0;
        while count < buffer.len() {
            self.take();
            if let Some(byte) = self.ready.pop_front() {
                buffer[count] = byte;
                count += 1;
                continue;
            }
            let patience_us = if count == 0 {
                u64::from(*left_us)
            } else {
                SILENCE_US
            };
            let wait_us = self
                .bus
                .next_due_us()
                .map(|due_us| due_us.saturating_sub(self.now_us))
                .filter(|wait_us| *wait_us <= patience_us);
            let waited_us = wait_us.unwrap_or(patience_us);
            self.now_us += waited_us;
            *left_us = left_us.saturating_sub(waited_us as u32);
            if wait_us.is_none() {
                break;
            }
        }
        Ok(count)
    }
}
