//! The loop around the firmware core: bytes in, one tick a period, bytes out.

use core::sync::atomic::{AtomicU32, Ordering};

use wink_firmware::Core;
use wink_firmware::safety::next_due;
use wink_firmware::servo::ServoBus;
use wink_firmware::wire::MAX_LINE;

use crate::log::Log;
use crate::port::Port;

/// Bytes of the host taken at a time.
const PORTION: usize = 64;

/// How long passes of the loop took since the start. The image keeps it where a debugger, or an emulator, finds it.
#[derive(Default)]
pub struct Meter {
    /// Passes with a tick in them.
    pub ticks: AtomicU32,
    /// The longest such pass, microseconds.
    pub worst_us: AtomicU32,
    /// The longest one without what it waited for the servo bus, microseconds.
    pub worst_busy_us: AtomicU32,
    /// What was waited for the servo bus, microseconds; wraps.
    pub waited_us: AtomicU32,
}

impl Meter {
    /// Nothing measured yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ticks: AtomicU32::new(0),
            worst_us: AtomicU32::new(0),
            worst_busy_us: AtomicU32::new(0),
            waited_us: AtomicU32::new(0),
        }
    }

    fn note(&self, pass_us: u32, waited_us: u32) {
        let add = |sum: &AtomicU32| {
            sum.store(
                sum.load(Ordering::Relaxed).wrapping_add(1),
                Ordering::Relaxed,
            )
        };
        let keep = |worst: &AtomicU32, value: u32| {
            worst.store(worst.load(Ordering::Relaxed).max(value), Ordering::Relaxed);
        };
        add(&self.ticks);
        keep(&self.worst_us, pass_us);
        keep(&self.worst_busy_us, pass_us.saturating_sub(waited_us));
    }
}

/// The core, its servos, and when it is due.
pub struct ControlLoop<'a, S> {
    core: &'a mut Core,
    servos: &'a mut S,
    now_us: fn() -> u64,
    meter: &'static Meter,
    period_us: u64,
    due_us: u64,
    log: Log,
}

impl<'a, S: ServoBus> ControlLoop<'a, S> {
    /// A loop that ticks once in every period of the core's configuration, the first time at once. A tick that takes longer
    /// than that delays the next one and is not made up for.
    pub fn new(
        core: &'a mut Core,
        servos: &'a mut S,
        now_us: fn() -> u64,
        meter: &'static Meter,
    ) -> Self {
        Self {
            period_us: core.config().period_us.into(),
            core,
            servos,
            now_us,
            meter,
            due_us: 0,
            log: Log::default(),
        }
    }

    /// Goes round for ever: `ticked` is told of every tick, and `wait` may wait for the next interrupt.
    // On its own in every image, so that it can be looked at apart from what sets the board up.
    #[inline(never)]
    pub fn run<const RX: usize, const TX: usize>(
        &mut self,
        host: &mut Port<RX, TX>,
        mut ticked: impl FnMut(),
        wait: impl Fn(),
    ) -> ! {
        loop {
            if self.pass(host) {
                ticked();
            }
            wait();
        }
    }

    /// Does what there is to do now; returns whether that was a tick.
    pub fn pass<const RX: usize, const TX: usize>(&mut self, host: &mut Port<RX, TX>) -> bool {
        let start_us = (self.now_us)();
        let waited_us = self.meter.waited_us.load(Ordering::Relaxed);
        self.listen(start_us, host);
        let due = start_us >= self.due_us;
        if due {
            self.due_us = next_due(self.due_us, self.period_us, start_us);
            self.core.tick(start_us, self.servos);
        }
        self.speak(host);
        if due {
            let pass_us = (self.now_us)().saturating_sub(start_us) as u32;
            let waited_us = self
                .meter
                .waited_us
                .load(Ordering::Relaxed)
                .wrapping_sub(waited_us);
            self.meter.note(pass_us, waited_us);
            self.log.note(start_us, self.core, self.meter, host.lost());
        }
        due
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

    /// Lines go out whole: the core is asked for one only where the port has room for the longest.
    // Not part of the loop's own frame: what a tick needs of the stack comes beside the line, not on top of it.
    #[inline(never)]
    fn speak<const RX: usize, const TX: usize>(&mut self, host: &mut Port<RX, TX>) {
        const { assert!(TX >= MAX_LINE, "the port must hold the longest line") };
        let mut line = [0; MAX_LINE];
        while host.room() >= MAX_LINE {
            let Some(length) = self.core.telemetry((self.now_us)(), &mut line) else {
                return;
            };
            host.send(line.get(..length).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;
    use std::vec::Vec;

    use wink_firmware::Config;
    use wink_firmware::servo::ServoState;
    use wink_firmware::wire::{
        BoardMessage, BoardReader, Command, HostHello, HostMessage, MAX_HOST_LINE, State,
        encode_host,
    };

    use super::*;
    use crate::arm;
    use crate::ring::ByteRing;

    static NOW_US: AtomicU64 = AtomicU64::new(0);
    static METER: Meter = Meter::new();
    static RX: ByteRing<512> = ByteRing::new();
    static TX: ByteRing<2048> = ByteRing::new();

    /// Servos that go where they are told, each read of which takes 300 us.
    struct Ideal(Vec<f32>);

    impl ServoBus for Ideal {
        type Error = ();

        fn read(&mut self, states: &mut [ServoState]) -> Result<(), ()> {
            NOW_US.fetch_add(300, Ordering::Relaxed);
            METER.waited_us.fetch_add(300, Ordering::Relaxed);
            for (state, position) in states.iter_mut().zip(&self.0) {
                state.position = *position;
                state.voltage_v = Some(12.0);
            }
            Ok(())
        }

        fn write(&mut self, goals: &[f32]) -> Result<(), ()> {
            self.0 = goals.to_vec();
            Ok(())
        }

        fn set_torque(&mut self, _on: bool) -> Result<(), ()> {
            Ok(())
        }
    }

    #[test]
    fn ticks_at_its_period_and_speaks_with_the_host() {
        let config = Config {
            proof: None,
            ..arm::config("test").unwrap()
        };
        let mut core = Core::new(config).unwrap();
        let period_us = u64::from(core.config().period_us);
        let joints = core.config().joints.len();
        let mut servos = Ideal([0.0; 8][..joints].to_vec());
        let mut control = ControlLoop::new(
            &mut core,
            &mut servos,
            || NOW_US.load(Ordering::Relaxed),
            &METER,
        );
        let mut host = Port::new(&RX, &TX, || ());
        let mut line = [0; MAX_HOST_LINE];
        for (seq, command) in [(1, Command::Hello(HostHello::default())), (2, Command::Arm)] {
            let length = encode_host(&HostMessage { seq, command }, &mut line).unwrap();
            line[..length]
                .iter()
                .for_each(|byte| assert!(RX.push(*byte)));
        }
        let (mut reader, mut state, mut hellos) = (BoardReader::new(), None, 0);
        let mut ticks = 0;
        while NOW_US.load(Ordering::Relaxed) < 20 * period_us {
            ticks += u32::from(control.pass(&mut host));
            NOW_US.fetch_add(50, Ordering::Relaxed);
            while let Some(byte) = TX.pop() {
                reader.push(&[byte], |message| match message.unwrap() {
                    BoardMessage::Hello(_) => hellos += 1,
                    BoardMessage::Telemetry(telemetry) => state = Some(telemetry.state),
                    BoardMessage::Pong(_) | BoardMessage::Health(_) => {}
                });
            }
        }
        assert_eq!((ticks, hellos, state), (20, 1, Some(State::Armed)));
        assert_eq!(METER.ticks.load(Ordering::Relaxed), ticks);
        assert_eq!(METER.worst_us.load(Ordering::Relaxed), 300);
        assert_eq!(METER.worst_busy_us.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_late_tick_is_not_made_up_for() {
        assert_eq!(next_due(1_000, 500, 1_000), 1_500);
        assert_eq!(next_due(1_000, 500, 1_499), 1_500);
        assert_eq!(next_due(1_000, 500, 1_500), 2_000);
        assert_eq!(next_due(1_000, 500, 9_000), 9_500);
    }
}
