//! The firmware core in a thread of its own.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use wink_firmware::Core;
use wink_firmware::servo::ServoBus;
use wink_firmware::wire::MAX_LINE;
use wink_runtime::arm::{Link, LinkError};
use wink_runtime::clock::{Clock, MonotonicClock};

use crate::BoardError;
use crate::watched::{Trouble, Watched};

/// Bytes of telemetry kept when the host does not read; the oldest are dropped, as in a serial port's buffer.
const OUTBOX_BYTES: usize = 64 * 1024;

/// What goes to and fro between the core's thread and the rest of the program.
#[derive(Default)]
struct Shared {
    outbox: Mutex<VecDeque<u8>>,
    stop: AtomicBool,
    late_steps: AtomicU64,
}

/// A running core. To the runtime it is a board: a wire and a clock.
///
/// When it is dropped, or the program ends, the servos keep their torque and their last goals: an arm under gravity does not
/// fall. Only a disarm on the wire switches torque off.
pub struct FirmwareThread {
    shared: Arc<Shared>,
    /// Taken away to end the thread.
    inbox: Option<Sender<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
    clock: MonotonicClock,
    trouble: Trouble,
}

impl FirmwareThread {
    /// Runs `core` on `servos`, `rate_hz` times a second.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn spawn<S: ServoBus<Error: Display> + Send + 'static>(
        core: Core,
        servos: S,
        rate_hz: u32,
    ) -> Result<Self, BoardError> {
        let shared = Arc::new(Shared::default());
        let (inbox, received) = channel();
        let clock = MonotonicClock::new();
        let trouble = Trouble::default();
        let looped = Loop {
            core,
            servos: Watched::new(servos, trouble.clone()),
            period_us: u64::from(1_000_000 / rate_hz.max(1)),
            received,
            shared: Arc::clone(&shared),
            clock: clock.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("firmware".to_owned())
            .spawn(move || looped.run())
            .map_err(BoardError::Thread)?;
        Ok(Self {
            shared,
            inbox: Some(inbox),
            thread: Some(thread),
            clock,
            trouble,
        })
    }

    /// What keeps the servos from being read right now; `None` where nothing does.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.told()
    }

    /// The same, for a part of the program that does not have the board.
    pub fn trouble_watch(&self) -> impl Fn() -> Option<String> + Send + 'static {
        let trouble = self.trouble.clone();
        move || trouble.told()
    }

    /// Steps that began more than a period late: the machine, or the servos, are too slow for this rate.
    #[must_use]
    pub fn late_steps(&self) -> u64 {
        self.shared.late_steps.load(Ordering::Relaxed)
    }

    /// The time of its setpoints and telemetry.
    #[must_use]
    pub fn clock(&self) -> &MonotonicClock {
        &self.clock
    }
}

impl Drop for FirmwareThread {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked; if it has, its message is out already.
            let _ = thread.join();
        }
    }
}

impl Link for FirmwareThread {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.inbox
            .as_ref()
            .and_then(|inbox| inbox.send(bytes.to_vec()).ok())
            .ok_or(LinkError::Closed)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        let mut outbox = self
            .shared
            .outbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(outbox.read(buffer)?)
    }
}

impl Clock for FirmwareThread {
    fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.clock.sleep_until(time_us);
    }
}

/// What the thread owns.
struct Loop<S> {
    core: Core,
    servos: S,
    period_us: u64,
    received: Receiver<Vec<u8>>,
    shared: Arc<Shared>,
    clock: MonotonicClock,
}

impl<S: ServoBus> Loop<S> {
    fn run(mut self) {
        let mut due_us = self.clock.now_us();
        while !self.shared.stop.load(Ordering::Relaxed) {
            if !self.receive() {
                return;
            }
            self.core.tick(self.clock.now_us(), &mut self.servos);
            self.report();
            due_us += self.period_us;
            let now_us = self.clock.now_us();
            if now_us > due_us + self.period_us {
                // Does not catch up on steps that nobody needs any more.
                self.shared.late_steps.fetch_add(1, Ordering::Relaxed);
                due_us = now_us;
            }
            self.clock.sleep_until(due_us);
        }
    }

    /// Hands the core what has come; false when nobody is left to send anything.
    fn receive(&mut self) -> bool {
        loop {
            match self.received.try_recv() {
                Ok(bytes) => self.core.receive(&bytes, self.clock.now_us()),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn report(&mut self) {
        let mut line = [0; MAX_LINE];
        while let Some(length) = self.core.telemetry(self.clock.now_us(), &mut line) {
            let mut outbox = self
                .shared
                .outbox
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            outbox.extend(&line[..length]);
            let excess = outbox.len().saturating_sub(OUTBOX_BYTES);
            outbox.drain(..excess);
        }
    }
}
