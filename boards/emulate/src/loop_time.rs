//! How long the control loop of an image takes, and how deep its stack goes, while it drives the arm.

use std::fmt;

use serde_json::{Value, json};
use wink_sim::Setup;

use crate::trial::{Trial, TrialError};
use crate::{Emulator, EmulatorError, Images};

/// Time that the arm is driven for, seconds.
const DRIVEN_S: f64 = 2.0;
/// What cortex-m-rt paints the stack with before anything runs (`STACK_PAINT_VALUE`).
const PAINT: u32 = 0xcccc_cccc;

/// What was measured of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoopTime {
    /// On which board.
    pub emulator: Emulator,
    /// Of which arm.
    pub arm: &'static str,
    /// Passes of the loop with a tick in them.
    pub ticks: u32,
    /// Between two ticks on average, while the arm was driven, microseconds of the board.
    pub period_us: f64,
    /// The longest pass, microseconds of the board.
    pub worst_us: u32,
    /// The longest pass without what it waited for the servo bus, microseconds of the board.
    pub worst_busy_us: u32,
    /// Greatest depth of the stack, bytes.
    pub stack_used: usize,
    /// Room that the stack has, bytes.
    pub stack_size: usize,
}

impl LoopTime {
    /// Drives a cell's arm for two seconds.
    ///
    /// # Errors
    /// When the emulator fails or the board does not arm.
    pub fn measure(
        emulator: Emulator,
        setup: &'static Setup,
        images: &Images,
    ) -> Result<Self, TrialError> {
        let mut trial = Trial::start(emulator, setup, images)?;
        let at = |trial: &Trial| {
            trial
                .board
                .telemetry()
                .map_or(0, |telemetry| telemetry.time_us)
        };
        let (before, before_us) = (ticks(&mut trial)?, at(&trial));
        trial.drive(DRIVEN_S)?;
        let (after, after_us) = (ticks(&mut trial)?, at(&trial));
        let meter = trial.board.variable("WINK_METER")?;
        let stack = trial.board.stack()?;
        // The stack grows downwards: what is still painted was never reached.
        let untouched = stack.iter().take_while(|word| **word == PAINT).count();
        Ok(Self {
            emulator,
            arm: setup.name,
            ticks: after,
            period_us: after_us.saturating_sub(before_us) as f64
                / f64::from(after.saturating_sub(before).max(1)),
            worst_us: meter.get(1).copied().unwrap_or_default(),
            worst_busy_us: meter.get(2).copied().unwrap_or_default(),
            stack_used: (stack.len() - untouched) * size_of::<u32>(),
            stack_size: stack.len() * size_of::<u32>(),
        })
    }

    /// The longest pass without waiting, in what the emulator counts: see [`Emulator::count_of_us`].
    #[must_use]
    pub fn worst_busy_count(&self) -> u64 {
        u64::from(self.worst_busy_us) * u64::from(self.emulator.count_of_us().0)
    }

    /// The same as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let (per_us, unit) = self.emulator.count_of_us();
        json!({
            "board": self.emulator.board(),
            "arm": self.arm,
            "ticks": self.ticks,
            "period_us": self.period_us,
            "worst_pass_us": self.worst_us,
            "worst_busy_us": self.worst_busy_us,
            "worst_busy": self.worst_busy_count(),
            "unit": unit,
            "unit_per_us": per_us,
            "stack_used_bytes": self.stack_used,
            "stack_bytes": self.stack_size,
        })
    }
}

fn ticks(trial: &mut Trial) -> Result<u32, EmulatorError> {
    let meter = trial.board.variable("WINK_METER")?;
    Ok(meter.first().copied().unwrap_or_default())
}

impl fmt::Display for LoopTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<12} {:<7} {:>5} ticks, one every {:>5.0} us; longest pass {:>5} us, {:>4} us ({} {}) of it not waiting for the bus; \
             stack {} of {} bytes",
            self.emulator.board(),
            self.arm,
            self.ticks,
            self.period_us,
            self.worst_us,
            self.worst_busy_us,
            self.worst_busy_count(),
            self.emulator.count_of_us().1,
            self.stack_used,
            self.stack_size
        )
    }
}
