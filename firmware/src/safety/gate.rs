//! Which messages and setpoints get through.

use crate::JointVec;
use crate::config::Config;
use crate::motion::Positions;
use crate::wire::{Counters, Setpoint, is_newer};

use super::count;

/// The host's sequence as far as it was seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sequence {
    last: Option<u32>,
}

impl Sequence {
    /// Starts anew at a hello.
    pub fn restart(&mut self, seq: u32) {
        self.last = Some(seq);
    }

    /// Whether a message is new; counts it, or those missing before it.
    pub fn admit(&mut self, seq: u32, counters: &mut Counters) -> bool {
        if let Some(last) = self.last {
            if !is_newer(seq, last) {
                count(&mut counters.repeated);
                return false;
            }
            let missing = seq.wrapping_sub(last).saturating_sub(1);
            counters.lost = counters.lost.saturating_add(missing);
        }
        self.last = Some(seq);
        true
    }
}

/// Why a setpoint is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejection {
    NotArmed,
    JointCount,
    NotFinite,
    OutOfRange,
    Stale,
    TooFarAhead,
    QueueFull,
}

impl Rejection {
    pub fn count(self, counters: &mut Counters) {
        count(match self {
            Self::NotArmed => &mut counters.not_armed,
            Self::JointCount => &mut counters.joint_count,
            Self::NotFinite => &mut counters.not_finite,
            Self::OutOfRange => &mut counters.out_of_range,
            Self::Stale => &mut counters.stale,
            Self::TooFarAhead => &mut counters.too_far_ahead,
            Self::QueueFull => &mut counters.queue_full,
        });
    }
}

/// A setpoint's positions; 0 for joints that the arm lacks.
pub(super) fn positions(setpoint: &Setpoint) -> Positions {
    let mut positions = Positions::default();
    for (slot, position) in positions.iter_mut().zip(&setpoint.positions) {
        *slot = *position;
    }
    positions
}

/// Whether a setpoint read at `now_us` may be followed by an arm of this configuration whose commands are `command`.
pub(super) fn check(
    setpoint: &Setpoint,
    config: &Config,
    command: &Positions,
    now_us: u64,
) -> Result<(), Rejection> {
    check_positions(&setpoint.positions, config, command)?;
    if setpoint.deadline_us < now_us {
        return Err(Rejection::Stale);
    }
    if setpoint.deadline_us.saturating_sub(now_us) > config.max_ahead_us {
        return Err(Rejection::TooFarAhead);
    }
    Ok(())
}

fn check_positions(
    positions: &JointVec,
    config: &Config,
    command: &Positions,
) -> Result<(), Rejection> {
    if positions.len() != config.joints.len() {
        return Err(Rejection::JointCount);
    }
    if !positions.iter().all(|position| position.is_finite()) {
        return Err(Rejection::NotFinite);
    }
    let in_range = positions
        .iter()
        .zip(&config.joints)
        .zip(command)
        .all(|((position, limits), command)| limits.may_ask(*position, *command));
    if in_range {
        Ok(())
    } else {
        Err(Rejection::OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::JointLimits;

    #[test]
    fn admits_only_what_is_newer() {
        // Last number, next number, admitted, counted as lost.
        let cases = [
            (None, 7, true, 0),
            (Some(7), 8, true, 0),
            (Some(7), 7, false, 0),
            (Some(7), 6, false, 0),
            (Some(7), 10, true, 2),
            (Some(u32::MAX), 0, true, 0),
            (Some(u32::MAX - 1), 1, true, 2),
            (Some(0), u32::MAX, false, 0),
            (Some(3), 3_u32.wrapping_add(1 << 31), false, 0),
        ];
        for (last, seq, admitted, lost) in cases {
            let mut counters = Counters::default();
            assert_eq!(
                Sequence { last }.admit(seq, &mut counters),
                admitted,
                "{last:?} {seq}"
            );
            assert_eq!(counters.lost, lost, "{last:?} {seq}");
            assert_eq!(counters.repeated, u32::from(!admitted), "{last:?} {seq}");
        }
    }

    #[test]
    fn refuses_setpoints_by_reason() {
        let limits = JointLimits {
            min: -1.0,
            max: 1.0,
            velocity: 1.0,
            acceleration: 1.0,
            jerk: f32::INFINITY,
        };
        let config = Config::new(&[limits; 2]).unwrap();
        let now_us = 1_000_000;
        let ahead = config.max_ahead_us;
        let cases: [(&[f32], u64, Result<(), Rejection>); 13] = [
            (&[0.0, 0.5], now_us + 50_000, Ok(())),
            (&[-1.0, 1.0], now_us, Ok(())),
            (&[0.0, 0.0], now_us + ahead, Ok(())),
            (&[0.0], now_us, Err(Rejection::JointCount)),
            (&[], now_us, Err(Rejection::JointCount)),
            (&[0.0, 0.0, 0.0], now_us, Err(Rejection::JointCount)),
            (&[0.0, f32::NAN], now_us, Err(Rejection::NotFinite)),
            (&[f32::NEG_INFINITY, 0.0], now_us, Err(Rejection::NotFinite)),
            (&[0.0, 1.000_001], now_us, Err(Rejection::OutOfRange)),
            (&[-1e9, 0.0], now_us, Err(Rejection::OutOfRange)),
            (&[0.0, 0.0], now_us - 1, Err(Rejection::Stale)),
            (&[0.0, 0.0], now_us + ahead + 1, Err(Rejection::TooFarAhead)),
            (&[0.0, 0.0], u64::MAX, Err(Rejection::TooFarAhead)),
        ];
        for (positions, deadline_us, expected) in cases {
            let positions = JointVec::from_slice(positions).unwrap();
            let setpoint = Setpoint {
                deadline_us,
                positions,
                held: false,
            };
            assert_eq!(
                check(&setpoint, &config, &Positions::default(), now_us),
                expected,
                "{setpoint:?}"
            );
        }
    }
}
