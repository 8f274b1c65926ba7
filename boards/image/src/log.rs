//! What the board tells a developer over its debug port, where one is attached: changes at once, figures once a second.

use wink_firmware::Core;

use crate::control::Meter;

#[cfg(not(feature = "defmt"))]
#[derive(Debug, Default)]
pub struct Log {}

#[cfg(not(feature = "defmt"))]
impl Log {
    pub fn note(&mut self, _now_us: u64, _core: &Core, _meter: &Meter, _lost: usize) {}
}

/// What was said last.
#[cfg(feature = "defmt")]
#[derive(Debug, Default)]
pub struct Log {
    said: Option<(
        wink_firmware::State,
        wink_firmware::HoldReason,
        wink_firmware::Fault,
    )>,
    due_us: u64,
    ticks: u32,
}

#[cfg(feature = "defmt")]
impl Log {
    pub fn note(&mut self, now_us: u64, core: &Core, meter: &Meter, lost: usize) {
        use core::sync::atomic::Ordering::Relaxed;

        let state = (core.state(), core.hold_reason(), core.fault());
        if self.said != Some(state) {
            self.said = Some(state);
            defmt::info!("{=str}", state_name(state));
        }
        if now_us < self.due_us {
            return;
        }
        self.due_us = now_us.saturating_add(1_000_000);
        let (ticks, counters) = (meter.ticks.load(Relaxed), core.counters());
        defmt::info!(
            "{=u32} ticks; longest {=u32} us, {=u32} us without the bus; setpoints {=u32}, rejected {=u32}, lines bad {=u32}, \
             servo reads failed {=u32}, writes {=u32}, host bytes lost {=usize}",
            ticks.wrapping_sub(self.ticks),
            meter.worst_us.load(Relaxed),
            meter.worst_busy_us.load(Relaxed),
            counters.accepted,
            counters.rejected(),
            counters.bad_lines,
            counters.servo_reads_failed,
            counters.servo_writes_failed,
            lost
        );
        self.ticks = ticks;
    }
}

#[cfg(feature = "defmt")]
fn state_name(
    (state, hold, fault): (
        wink_firmware::State,
        wink_firmware::HoldReason,
        wink_firmware::Fault,
    ),
) -> &'static str {
    use wink_firmware::{Fault, HoldReason, State};

    match (state, hold, fault) {
        (State::Disarmed, ..) => "disarmed",
        (State::Armed, ..) => "armed",
        (State::Holding, HoldReason::None | HoldReason::Commanded, _) => "holding: as commanded",
        (State::Holding, HoldReason::Starved, _) => "holding: no setpoints",
        (State::Holding, HoldReason::Servo, _) => "holding: servos do not answer",
        (State::Holding, HoldReason::Stall, _) => "holding: a joint is stalled",
        (State::Holding, HoldReason::Temperature, _) => "holding: a servo is too hot",
        (State::Holding, HoldReason::Voltage, _) => "holding: the supply does not fit the servos",
        (State::Holding, HoldReason::Clock, _) => "holding: the clock went backwards",
        (State::Holding, HoldReason::PoweringDown, _) => "holding: powering down",
        (State::Holding, HoldReason::PolicyLate, _) => "holding: no new actions",
        (State::Holding, HoldReason::Stop, _) => "holding: the stop input is active",
        (State::Holding, HoldReason::ProofOfLife, _) => "holding: setpoints are awaited",
        (State::Fault, _, Fault::ServoWrite) => "fault: servos cannot be written",
        (State::Fault, ..) => "fault: servos cannot be read",
    }
}
