//! The loop around the firmware core: bytes in, one tick a period, bytes out.

use wink_firmware::Core;
use wink_firmware::servo::ServoBus;
use wink_firmware::wire::MAX_LINE;

use crate::port::Port;

/// Bytes of the host taken at a time; between two portions nothing else waits.
const PORTION: usize = 64;

/// The core, its servos, and when it is due.
pub struct ControlLoop<S> {
    core: Core,
    servos: S,
    period_us: u64,
    due_us: u64,
    line: [u8; MAX_LINE],
    pending: usize,
}

impl<S: ServoBus> ControlLoop<S> {
    /// A loop that ticks every `period_us`, the first time at once. A tick that takes longer than that delays the next one
    /// and is not made up for.
    pub const fn new(core: Core, servos: S, period_us: u64) -> Self {
        Self {
            core,
            servos,
            period_us,
            due_us: 0,
            line: [0; MAX_LINE],
            pending: 0,
        }
    }

    /// Does what there is to do at board time `now_us`; returns whether that was a tick.
    pub fn pass<const RX: usize, const TX: usize>(
        &mut self,
        now_us: u64,
        host: &mut Port<RX, TX>,
    ) -> bool {
        self.listen(now_us, host);
        let due = now_us >= self.due_us;
        if due {
            self.due_us = next_due(self.due_us, self.period_us, now_us);
            self.core.tick(now_us, &mut self.servos);
        }
        self.speak(now_us, host);
        due
    }

    /// Board time of the next tick.
    pub const fn due_us(&self) -> u64 {
        self.due_us
    }

    /// The core, for logs.
    pub const fn core(&self) -> &Core {
        &self.core
    }

    fn listen<const RX: usize, const TX: usize>(&mut self, now_us: u64, host: &mut Port<RX, TX>) {
        let mut portion = [0; PORTION];
        // A host that sends without end must not keep the servos waiting: a ring's worth, then the tick.
        for _ in 0..RX.div_ceil(PORTION) {
            let count = host.take(&mut portion);
            let Some(bytes) = portion.get(..count).filter(|bytes| !bytes.is_empty()) else {
                return;
            };
            self.core.receive(bytes, now_us);
        }
    }

    /// Lines go out whole, as far as the port has room for them.
    fn speak<const RX: usize, const TX: usize>(&mut self, now_us: u64, host: &mut Port<RX, TX>) {
        loop {
            if self.pending == 0 {
                match self.core.telemetry(now_us, &mut self.line) {
                    Some(length) => self.pending = length,
                    None => return,
                }
            }
            let line = self.line.get(..self.pending).unwrap_or_default();
            if !host.send(line) {
                return;
            }
            self.pending = 0;
        }
    }
}

/// Keeps the rhythm where it can.
fn next_due(due_us: u64, period_us: u64, now_us: u64) -> u64 {
    let next_us = due_us.saturating_add(period_us);
    if next_us > now_us {
        next_us
    } else {
        now_us.saturating_add(period_us)
    }
}
