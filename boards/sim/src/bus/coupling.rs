//! What a servo turns: a joint directly, or a finger through a crank.

/// Steps of a servo's encoder per turn.
pub(super) const TICKS_PER_TURN: f64 = 4096.0;

/// A crank that turns a servo's angle into a finger's travel: at angle zero it stands across the rails, at 90 degrees it
/// points along them and the finger is furthest out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crank {
    /// Length of the servo's horn, metres.
    pub horn_m: f64,
    /// Length of the rod from horn to finger, metres.
    pub rod_m: f64,
}

impl Crank {
    /// Travel of the finger from the servo's axis.
    #[must_use]
    pub fn travel_m(&self, angle_rad: f64) -> f64 {
        let (sin, cos) = (libm::sin(angle_rad), libm::cos(angle_rad));
        let across = self.horn_m * cos;
        self.horn_m * sin + (self.rod_m * self.rod_m - across * across).sqrt()
    }

    /// The angle for a travel; at the end of the crank's reach for one that is beyond it.
    #[must_use]
    pub fn angle_rad(&self, travel_m: f64) -> f64 {
        let (horn, rod) = (self.horn_m, self.rod_m);
        let travel = travel_m.clamp(rod - horn, rod + horn);
        let cos = (horn * horn + travel * travel - rod * rod) / (2.0 * horn * travel);
        std::f64::consts::FRAC_PI_2 - libm::acos(cos.clamp(-1.0, 1.0))
    }
}

/// What a servo turns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Linkage {
    /// The joint itself.
    Direct,
    /// A jaw whose tip is so far from the servo's axis; its way counts.
    Lever {
        /// Metres.
        length_m: f64,
    },
    /// A finger, through a crank.
    Crank(Crank),
}

/// How a servo is built into the arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coupling {
    /// Index of the joint on the wire.
    pub joint: usize,
    /// What its encoder says, before any offset that the servo itself takes off, when the joint is at zero (or the crank is).
    pub zero_tick: f64,
    /// Whether it turns the joint backwards.
    pub reversed: bool,
    /// What it turns.
    pub linkage: Linkage,
}

impl Coupling {
    /// A servo whose encoder is in its middle when the joint is at zero.
    #[must_use]
    pub const fn direct(joint: usize) -> Self {
        Self {
            joint,
            zero_tick: TICKS_PER_TURN / 2.0,
            reversed: false,
            linkage: Linkage::Direct,
        }
    }

    /// The WidowX 250S' gripper.
    #[must_use]
    pub const fn wx250s_gripper() -> Self {
        Self {
            linkage: Linkage::Crank(Crank {
                horn_m: 0.014,
                rod_m: 0.024,
            }),
            ..Self::direct(6)
        }
    }

    fn ticks_per_rad(&self) -> f64 {
        let ticks = TICKS_PER_TURN / std::f64::consts::TAU;
        if self.reversed { -ticks } else { ticks }
    }

    /// Encoder ticks at a joint's position, rad or m.
    pub(super) fn tick(&self, position: f64) -> f64 {
        let angle = match self.linkage {
            Linkage::Direct => position,
            Linkage::Lever { length_m } => position / length_m,
            Linkage::Crank(crank) => crank.angle_rad(position),
        };
        self.zero_tick + angle * self.ticks_per_rad()
    }

    /// The joint's position for encoder ticks.
    pub(super) fn position(&self, tick: f64) -> f64 {
        let angle = (tick - self.zero_tick) / self.ticks_per_rad();
        match self.linkage {
            Linkage::Direct => angle,
            Linkage::Lever { length_m } => angle * length_m,
            Linkage::Crank(crank) => crank.travel_m(angle),
        }
    }

    /// Ticks per second for a joint's velocity at a position.
    pub(super) fn tick_rate(&self, position: f64, velocity: f64) -> f64 {
        const STEP: f64 = 1e-5;
        let rise = self.tick(position + STEP) - self.tick(position - STEP);
        velocity * rise / (2.0 * STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRANK: Crank = Crank {
        horn_m: 0.014,
        rod_m: 0.024,
    };

    #[test]
    fn the_crank_reaches_from_the_rods_difference_to_their_sum() {
        let quarter = std::f64::consts::FRAC_PI_2;
        assert!((CRANK.travel_m(quarter) - 0.038).abs() < 1e-12);
        assert!((CRANK.travel_m(-quarter) - 0.010).abs() < 1e-12);
        assert!(
            (CRANK.travel_m(0.0) - (0.024_f64.powi(2) - 0.014_f64.powi(2)).sqrt()).abs() < 1e-12
        );
        for travel in [0.0101, 0.015, 0.02, 0.03, 0.037] {
            assert!((CRANK.travel_m(CRANK.angle_rad(travel)) - travel).abs() < 1e-9);
        }
        assert!((CRANK.angle_rad(-0.01) + quarter).abs() < 1e-6);
        assert!((CRANK.angle_rad(0.5) - quarter).abs() < 1e-6);
    }

    #[test]
    fn ticks_and_positions_go_both_ways() {
        let reversed = Coupling {
            reversed: true,
            zero_tick: 1000.0,
            ..Coupling::direct(3)
        };
        assert_eq!(
            Coupling::direct(0).tick(std::f64::consts::FRAC_PI_2),
            3072.0
        );
        assert_eq!(reversed.tick(std::f64::consts::FRAC_PI_2), -24.0);
        let jaw = Coupling {
            linkage: Linkage::Lever { length_m: 0.075 },
            ..Coupling::direct(6)
        };
        for coupling in [
            Coupling::direct(0),
            reversed,
            jaw,
            Coupling::wx250s_gripper(),
        ] {
            let position = 0.02;
            assert!((coupling.position(coupling.tick(position)) - position).abs() < 1e-9);
        }
        let rate = Coupling::direct(0).tick_rate(0.3, 1.0);
        assert!((rate - 4096.0 / std::f64::consts::TAU).abs() < 1e-6);
    }
}
