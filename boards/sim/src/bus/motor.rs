//! A servo's DC motor: what its controller gives it, and what torque comes of that.

use crate::servos::TAU_S;

/// A DC motor with its gears, at its rated voltage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Motor {
    /// Speed of the horn at full voltage that nothing resists, rad/s.
    pub no_load_rad_s: f64,
    /// Current at full voltage with the horn blocked, A.
    pub stall_current_a: f64,
}

/// What a motor does, in the encoder's direction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Effort {
    /// Share of the full voltage that the controller gives it, -1 to 1.
    pub duty: f64,
    /// Share of its stall torque that it exerts.
    pub torque: f64,
    /// A.
    pub current_a: f64,
}

impl Motor {
    /// A motor whose horn turns at `rad_s`. Where something holds the horn back, `resisted_rad` is what is left of the way to the
    /// goal.
    ///
    /// Torque falls linearly from the stall torque at rest to nothing at the speed without load, so that a motor that turns freely
    /// is given `rad_s / no_load_rad_s` of the voltage, and one that is blocked what its controller makes of the gap. That
    /// controller is proportional: with the gain `1 / (TAU_S * no_load_rad_s)` a free joint lags its goal by [`TAU_S`], as the
    /// simulated drives do. It gives at most `limit` of the voltage.
    pub(super) fn effort(&self, rad_s: f64, resisted_rad: Option<f64>, limit: f64) -> Effort {
        let turning = rad_s / self.no_load_rad_s;
        let duty = match resisted_rad {
            None => turning.clamp(-1.0, 1.0),
            Some(gap_rad) => (gap_rad / (TAU_S * self.no_load_rad_s)).clamp(-limit, limit),
        };
        let torque = match resisted_rad {
            None => 0.0,
            Some(_) => (duty - turning).clamp(-1.0, 1.0),
        };
        Effort {
            duty,
            torque,
            current_a: torque * self.stall_current_a,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOTOR: Motor = Motor {
        no_load_rad_s: 4.7,
        stall_current_a: 2.7,
    };

    #[test]
    fn a_free_motor_takes_the_voltage_of_its_speed_and_exerts_nothing() {
        for rad_s in [-3.0, 0.0, 1.5, 4.7] {
            let effort = MOTOR.effort(rad_s, None, 1.0);
            assert!((effort.duty - rad_s / 4.7).abs() < 1e-12, "{effort:?}");
            assert_eq!((effort.torque, effort.current_a), (0.0, 0.0));
        }
    }

    #[test]
    fn a_blocked_motor_exerts_what_its_controller_makes_of_the_gap_within_its_limit() {
        let full_rad = TAU_S * 4.7;
        for (gap_rad, limit, duty) in [
            (full_rad / 2.0, 1.0, 0.5),
            (-full_rad / 4.0, 1.0, -0.25),
            (9.0, 1.0, 1.0),
            (9.0, 0.5, 0.5),
            (-9.0, 0.5, -0.5),
        ] {
            let effort = MOTOR.effort(0.0, Some(gap_rad), limit);
            assert!((effort.duty - duty).abs() < 1e-12, "{gap_rad}: {effort:?}");
            assert!(
                (effort.torque - duty).abs() < 1e-12,
                "{gap_rad}: {effort:?}"
            );
            assert!((effort.current_a - duty * 2.7).abs() < 1e-12);
        }
    }
}
