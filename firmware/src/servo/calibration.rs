//! From a position in the arm's frame to the ticks of a bus servo's encoder, and back.

/// Encoder ticks per turn of every servo driven here (12 bits).
pub const TICKS_PER_TURN: u16 = 4096;

const TICKS_PER_RAD: f32 = TICKS_PER_TURN as f32 / core::f32::consts::TAU;

/// What a servo turns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Transmission {
    /// The joint itself: positions are radians.
    Direct,
    /// A jaw that turns with the servo: positions are metres along the way of its tip.
    Lever {
        /// From the servo's axis to the jaw's tip, m.
        length_m: f32,
    },
    /// A finger on rails, through a horn and a rod: positions are metres of travel from the servo's
    /// axis. At angle zero the horn stands across the rails; at 90 degrees the finger is furthest
    /// out, at `horn_m + rod_m`.
    Crank {
        /// Length of the servo's horn, m.
        horn_m: f32,
        /// Length of the rod from horn to finger, m.
        rod_m: f32,
    },
}

impl Transmission {
    /// Position (rad or m) at a servo angle.
    fn position(self, angle: f32) -> f32 {
        match self {
            Self::Direct => angle,
            Self::Lever { length_m } => angle * length_m,
            Self::Crank { horn_m, rod_m } => {
                let across = horn_m * libm::cosf(angle);
                let along = libm::sqrtf((rod_m * rod_m - across * across).max(0.0));
                horn_m * libm::sinf(angle) + along
            }
        }
    }

    /// Servo angle for a position; at the end of the crank's reach for one beyond it.
    fn angle(self, position: f32) -> f32 {
        match self {
            Self::Direct => position,
            Self::Lever { length_m } => position / length_m,
            Self::Crank { horn_m, rod_m } => {
                let travel = position.max(rod_m - horn_m).min(rod_m + horn_m);
                let cos =
                    (horn_m * horn_m + travel * travel - rod_m * rod_m) / (2.0 * horn_m * travel);
                core::f32::consts::FRAC_PI_2 - libm::acosf(cos.clamp(-1.0, 1.0))
            }
        }
    }

    /// Change of position per radian of the servo.
    fn slope(self, angle: f32) -> f32 {
        match self {
            Self::Direct => 1.0,
            Self::Lever { length_m } => length_m,
            Self::Crank { horn_m, rod_m } => {
                let (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
                let across = horn_m * cos;
                let along = libm::sqrtf((rod_m * rod_m - across * across).max(1e-12));
                horn_m * cos + across * horn_m * sin / along
            }
        }
    }

    fn makes_sense(self) -> bool {
        match self {
            Self::Direct => true,
            Self::Lever { length_m } => length_m > 0.0 && length_m.is_finite(),
            Self::Crank { horn_m, rod_m } => 0.0 < horn_m && horn_m < rod_m && rod_m.is_finite(),
        }
    }
}

/// Which ticks of a servo are which positions of its joint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TickCalibration {
    /// What the servo says when the joint is at zero (or the crank's horn across its rails). May
    /// lie between two ticks, or outside of the servo's range.
    pub zero_tick: f32,
    /// Whether the servo turns against the joint.
    pub reversed: bool,
    /// Lowest tick that the servo is ever sent.
    pub min_tick: u16,
    /// Highest tick that the servo is ever sent.
    pub max_tick: u16,
    /// What it turns.
    pub transmission: Transmission,
}

impl TickCalibration {
    /// A servo that may go everywhere and is in its middle when the joint is at zero.
    pub const CENTRED: Self = Self {
        zero_tick: (TICKS_PER_TURN / 2) as f32,
        reversed: false,
        min_tick: 0,
        max_tick: TICKS_PER_TURN - 1,
        transmission: Transmission::Direct,
    };

    /// Position of the joint, rad or m.
    #[must_use]
    pub fn position(&self, tick: i32) -> f32 {
        self.transmission.position(self.angle(tick as f32))
    }

    /// Velocity of the joint, rad/s or m/s, when the servo turns so fast at `tick`.
    #[must_use]
    pub fn velocity(&self, tick: i32, ticks_per_s: f32) -> f32 {
        let rad_per_s = ticks_per_s / self.ticks_per_rad();
        rad_per_s * self.transmission.slope(self.angle(tick as f32))
    }

    /// The tick nearest to a position, inside of the limits. What is not finite is the lowest.
    #[must_use]
    pub fn tick(&self, position: f32) -> u16 {
        let angle = self.transmission.angle(position);
        let tick = self.zero_tick + angle * self.ticks_per_rad();
        // A float cast saturates and makes 0 of NaN.
        (libm::roundf(tick) as u16)
            .max(self.min_tick)
            .min(self.max_tick)
    }

    /// `load` of the servo, signed as the joint's position.
    #[must_use]
    pub fn signed_as_joint(&self, load: f32) -> f32 {
        if self.reversed { -load } else { load }
    }

    pub(crate) fn makes_sense(&self) -> bool {
        self.zero_tick.is_finite()
            && self.min_tick < self.max_tick
            && self.max_tick < TICKS_PER_TURN
            && self.transmission.makes_sense()
    }

    fn angle(&self, tick: f32) -> f32 {
        (tick - self.zero_tick) / self.ticks_per_rad()
    }

    fn ticks_per_rad(&self) -> f32 {
        self.signed_as_joint(TICKS_PER_RAD)
    }
}

#[cfg(test)]
mod tests {
    use core::f32::consts::FRAC_PI_2;

    use super::*;

    const CRANK: TickCalibration = TickCalibration {
        transmission: Transmission::Crank {
            horn_m: 0.014,
            rod_m: 0.024,
        },
        ..TickCalibration::CENTRED
    };

    const JAW: TickCalibration = TickCalibration {
        transmission: Transmission::Lever { length_m: 0.075 },
        ..TickCalibration::CENTRED
    };

    #[test]
    fn ticks_and_positions_go_both_ways() {
        let reversed = TickCalibration {
            reversed: true,
            zero_tick: 2000.5,
            ..TickCalibration::CENTRED
        };
        let cases = [
            (TickCalibration::CENTRED, 0.0, 2048),
            (TickCalibration::CENTRED, FRAC_PI_2, 3072),
            (TickCalibration::CENTRED, -FRAC_PI_2, 1024),
            (reversed, FRAC_PI_2, 977),
            (JAW, 0.075 * FRAC_PI_2, 3072),
            (JAW, -0.0375, 1722),
            (CRANK, 0.038, 3072),
            (CRANK, 0.010, 1024),
            (CRANK, 0.019_493_59, 2048),
        ];
        for (calibration, position, tick) in cases {
            assert_eq!(calibration.tick(position), tick, "{calibration:?}");
            let back = calibration.position(i32::from(tick));
            assert!((back - position).abs() < 8e-4, "{back} for {position}");
        }
        for tick in 1024..3072 {
            let back = CRANK.tick(CRANK.position(tick));
            assert!(i32::from(back).abs_diff(tick) <= 1, "{back} for {tick}");
        }
    }

    #[test]
    fn no_position_leads_outside_of_the_limits() {
        let limited = TickCalibration {
            min_tick: 1000,
            max_tick: 3000,
            ..TickCalibration::CENTRED
        };
        for (position, tick) in [
            (9.0, 3000),
            (-9.0, 1000),
            (f32::INFINITY, 3000),
            (f32::NEG_INFINITY, 1000),
            (f32::NAN, 1000),
            (1e9, 3000),
        ] {
            assert_eq!(limited.tick(position), tick);
        }
        assert_eq!(CRANK.tick(-0.01), 1024);
        assert_eq!(CRANK.tick(0.04), 3072);
        assert_eq!(CRANK.tick(f32::NAN), 1024);
    }

    #[test]
    fn velocity_is_the_slope_of_the_position() {
        for calibration in [
            TickCalibration::CENTRED,
            CRANK,
            JAW,
            TickCalibration {
                reversed: true,
                ..CRANK
            },
        ] {
            for tick in [1200, 2048, 2900] {
                let rise = calibration.position(tick + 4) - calibration.position(tick - 4);
                let velocity = calibration.velocity(tick, 8.0);
                assert!(
                    (velocity - rise).abs() < 2e-5 + rise.abs() * 0.02,
                    "{velocity} {rise}"
                );
            }
        }
    }

    #[test]
    fn calibrations_that_make_no_sense_are_told() {
        let good = TickCalibration::CENTRED;
        assert!(good.makes_sense() && CRANK.makes_sense());
        for bad in [
            TickCalibration {
                zero_tick: f32::NAN,
                ..good
            },
            TickCalibration {
                min_tick: 5,
                max_tick: 5,
                ..good
            },
            TickCalibration {
                max_tick: 4096,
                ..good
            },
            TickCalibration {
                transmission: Transmission::Crank {
                    horn_m: 0.02,
                    rod_m: 0.02,
                },
                ..good
            },
        ] {
            assert!(!bad.makes_sense(), "{bad:?}");
        }
    }
}
