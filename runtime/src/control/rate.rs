//! The time between two actions, from the rate that the policy was made for.

use super::ControlError;

/// How far a period may be off the one that the rate asks for, as a share of it: a clock that counts microseconds cannot wait
/// for a third of one.
const TOLERANCE: f64 = 1e-3;

/// The control period of a rate in microseconds, on a clock that advances in steps of `step_us`.
///
/// # Errors
/// When the rate is not a positive number, its period is no multiple of the clock's step, or a board that holds after
/// `hold_after_us` without a setpoint would hold between two of them.
pub fn period_us(hz: f64, step_us: u64, hold_after_us: u64) -> Result<u64, ControlError> {
    let exact_us = 1e6 / hz;
    if !(hz > 0.0 && exact_us.is_finite()) {
        return Err(ControlError::NoRate { hz });
    }
    let step = step_us.max(1) as f64;
    let period = (exact_us / step).round() * step;
    if period <= 0.0 || (period - exact_us).abs() > TOLERANCE * exact_us {
        return Err(ControlError::Rate { hz, step_us });
    }
    if period >= hold_after_us as f64 {
        return Err(ControlError::TooSlow { hz, hold_after_us });
    }
    // Below `hold_after_us`, so that it fits.
    Ok(period as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD_US: u64 = 150_000;

    #[test]
    fn a_real_clock_can_do_any_rate() {
        for (hz, expected_us) in [
            (20.0, 50_000),
            (30.0, 33_333),
            (7.0, 142_857),
            (1000.0, 1_000),
        ] {
            assert_eq!(period_us(hz, 1, HOLD_US), Ok(expected_us));
        }
    }

    #[test]
    fn a_simulated_clock_can_do_what_its_steps_divide() {
        for (hz, expected_us) in [
            (20.0, 50_000),
            (10.0, 100_000),
            (50.0, 20_000),
            (100.0, 10_000),
        ] {
            assert_eq!(period_us(hz, 10_000, HOLD_US), Ok(expected_us));
        }
        for hz in [30.0, 15.0, 60.0, 1000.0] {
            let error = period_us(hz, 10_000, HOLD_US).unwrap_err();
            assert_eq!(
                error,
                ControlError::Rate {
                    hz,
                    step_us: 10_000
                }
            );
            let told = error.to_string();
            assert!(
                told.contains(&format!("{hz} Hz")) && told.contains("10000 us"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_rate_at_which_the_board_would_hold_in_between_is_refused() {
        let error = period_us(5.0, 1, HOLD_US).unwrap_err();
        assert_eq!(
            error,
            ControlError::TooSlow {
                hz: 5.0,
                hold_after_us: HOLD_US
            }
        );
        for hz in [0.0, -20.0, f64::NAN, f64::INFINITY, 1e-320] {
            assert!(period_us(hz, 1, HOLD_US).is_err(), "{hz}");
        }
    }
}
