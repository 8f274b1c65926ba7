//! One joint's command under velocity, acceleration and position limits, in discrete time.
//!
//! Every tick the velocity changes by at most `acceleration * dt`, and is at most what the joint
//! can still brake from before its position limit. The reference is followed exactly while that is
//! possible; once behind, the joint catches up as fast as it can still brake to the reference's own
//! velocity when it gets there, so it neither oscillates nor needs gains.

use crate::config::JointLimits;

/// Where a joint should be at this tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reference {
    pub position: f32,
    /// Mean velocity since the last tick.
    pub velocity: f32,
}

impl Reference {
    /// A place to stay.
    pub const fn rest(position: f32) -> Self {
        Self {
            position,
            velocity: 0.0,
        }
    }
}

/// A joint's command.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct JointMotion {
    pub position: f32,
    pub velocity: f32,
}

impl JointMotion {
    /// At rest.
    pub const fn at(position: f32) -> Self {
        Self {
            position,
            velocity: 0.0,
        }
    }

    /// Moves the command by one tick of `dt` seconds: towards `reference`, or to a stop without one.
    ///
    /// `scale`, at most 1, lowers the velocity and how fast it may grow. A joint that is faster than that, because the scale was
    /// lowered while it moved, brakes; braking keeps the whole acceleration, so that no scale makes a stop longer.
    pub fn step(
        &mut self,
        limits: &JointLimits,
        scale: f32,
        reference: Option<Reference>,
        dt: f32,
    ) {
        if dt <= 0.0 {
            return;
        }
        let acceleration = limits.acceleration * scale;
        let wanted = reference.map_or(0.0, |reference| self.follow(acceleration, reference, dt));
        let braking = limits.acceleration * dt;
        let gain = acceleration * dt;
        let fastest = limits.velocity
            * if limits.excludes(self.position) {
                scale.min(JointLimits::INWARDS_SHARE)
            } else {
                scale
            };
        let fastest = fastest.max(self.velocity.abs() - braking);
        let (lowest, highest) = if self.velocity > 0.0 {
            ((self.velocity - braking).max(-gain), self.velocity + gain)
        } else {
            (self.velocity - gain, (self.velocity + braking).min(gain))
        };
        // `max` and `min` rather than `clamp`: they cannot panic, and drop a NaN.
        let velocity = wanted.max(lowest).min(highest).max(-fastest).min(fastest);
        self.go(limits, velocity, dt);
    }

    /// Moves the command by one tick at `velocity`, or as much of it as can be braked from before a limit.
    pub fn go(&mut self, limits: &JointLimits, velocity: f32, dt: f32) {
        let room = if velocity > 0.0 {
            limits.max - self.position
        } else {
            self.position - limits.min
        };
        self.velocity = brake(velocity, room, limits.acceleration, dt);
        // A joint that was outside its limits when the arm was armed moves inwards only, and slowly.
        let lowest = limits.min.min(self.position);
        let highest = limits.max.max(self.position);
        self.position = (self.position + self.velocity * dt)
            .max(lowest)
            .min(highest);
    }

    /// The velocity for this tick with which the joint meets the reference soonest.
    fn follow(&self, acceleration: f32, reference: Reference, dt: f32) -> f32 {
        // How far the reference is ahead once it has moved on by a tick's worth.
        let gap = reference.position - self.position - reference.velocity * dt;
        let sign = if gap < 0.0 { -1.0 } else { 1.0 };
        reference.velocity + sign * stoppable_speed(gap * sign, acceleration, dt)
    }
}

/// `velocity` reduced to what can be brought to a stop within `room`, this tick's way included.
fn brake(velocity: f32, room: f32, acceleration: f32, dt: f32) -> f32 {
    let speed = velocity.abs();
    // Sufficient, and spares the square root where a limit is far.
    if speed * (speed + 2.0 * acceleration * dt) <= 2.0 * acceleration * room {
        return velocity;
    }
    let allowed = speed.min(stoppable_speed(room, acceleration, dt));
    if velocity < 0.0 { -allowed } else { allowed }
}

/// Highest speed for this tick from which ticks of falling speed end within `distance`.
///
/// At speed `(n + f) * acceleration * dt`, with `n` whole and `0 <= f < 1`, this tick and the `n`
/// after it cover `n (n + 1) / 2 + f (n + 1)` times `acceleration * dt^2`. Solved for the speed.
fn stoppable_speed(distance: f32, acceleration: f32, dt: f32) -> f32 {
    if distance <= 0.0 {
        return 0.0;
    }
    let speed_step = acceleration * dt;
    // The cap keeps the squares below finite; it is 10^6 ticks of braking.
    let steps = (distance / (speed_step * dt)).min(1e12);
    if steps <= 1.0 {
        return distance / dt;
    }
    let whole = libm::floorf((libm::sqrtf(1.0 + 8.0 * steps) - 1.0) * 0.5);
    let part = (steps - whole * (whole + 1.0) * 0.5) / (whole + 1.0);
    (whole + part) * speed_step
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::vec::Vec;

    use super::*;

    const LIMITS: JointLimits = JointLimits {
        min: -2.0,
        max: 2.0,
        velocity: 3.0,
        acceleration: 20.0,
        jerk: f32::INFINITY,
    };

    /// Ticks `joint` towards a resting reference and returns the positions it went through.
    fn go_to(joint: &mut JointMotion, target: f32, ticks: usize, dt: f32) -> Vec<f32> {
        let reference = Reference {
            position: target,
            velocity: 0.0,
        };
        (0..ticks)
            .map(|_| {
                joint.step(&LIMITS, 1.0, Some(reference), dt);
                joint.position
            })
            .collect()
    }

    #[test]
    fn reaches_a_resting_target_without_overshoot() {
        for dt in [0.001, 0.01] {
            for target in [1.5, -1.5, 0.001, 2.0, -2.0] {
                let mut joint = JointMotion::at(0.0);
                let path = go_to(&mut joint, target, (2.0 / dt) as usize, dt);
                let end = path.last().unwrap();
                assert!((end - target).abs() < 1e-5, "{end} instead of {target}");
                assert!(joint.velocity.abs() < 1e-3);
                let furthest = path.iter().fold(0.0_f32, |a, p| a.max(p.abs()));
                assert!(
                    furthest <= target.abs() + 1e-5,
                    "overshot {target} to {furthest}"
                );
            }
        }
    }

    #[test]
    fn is_as_quick_as_its_limits_allow() {
        // Rest to rest over d >= v^2/a takes d/v + v/a.
        let (distance, dt) = (1.5, 0.001);
        let fastest = distance / LIMITS.velocity + LIMITS.velocity / LIMITS.acceleration;
        let mut joint = JointMotion::at(0.0);
        let path = go_to(&mut joint, distance, 2000, dt);
        let arrival = path
            .iter()
            .position(|p| (p - distance).abs() < 1e-4)
            .unwrap();
        assert!((arrival as f32 * dt - fastest).abs() < 0.01, "{arrival} ms");
    }

    #[test]
    fn follows_exactly_what_is_within_limits() {
        let mut joint = JointMotion::at(0.0);
        let mut position = 0.0;
        for tick in 0..=250_u8 {
            // Half the allowed acceleration up to 1.25 rad/s, then down again.
            let velocity = 0.01 * f32::from(tick.min(250 - tick));
            position += velocity * 0.001;
            let reference = Reference { position, velocity };
            joint.step(&LIMITS, 1.0, Some(reference), 0.001);
            assert!((joint.position - position).abs() < 1e-6, "tick {tick}");
        }
    }

    #[test]
    fn outside_its_limits_moves_inwards_only() {
        let mut joint = JointMotion::at(2.5);
        let path = go_to(&mut joint, 2.0, 300, 0.01);
        assert!(path.windows(2).all(|pair| pair[1] <= pair[0] + 1e-6));
        assert!((joint.position - 2.0).abs() < 1e-5);
        let mut joint = JointMotion::at(2.5);
        go_to(&mut joint, 3.0, 100, 0.01);
        assert_eq!(joint.position, 2.5);
    }

    proptest! {
        #[test]
        fn never_leaves_any_limit(
            start in -2.0_f32..2.0,
            dt in prop_oneof![Just(0.001_f32), Just(0.01), Just(0.000_5)],
            acceleration in 1.0_f32..500.0,
            targets in prop::collection::vec((-10.0_f32..10.0, -50.0_f32..50.0, 1_u8..60, 0.01_f32..1.5), 1..40),
        ) {
            let limits = JointLimits { acceleration, ..LIMITS };
            let mut joint = JointMotion::at(start);
            for (position, velocity, ticks, scale) in targets {
                // As often as not there is no other scale than 1.
                let scale = scale.min(1.0);
                // Above 9 the joint is told to stop instead.
                let reference = (position < 9.0).then_some(Reference { position, velocity });
                for _ in 0..ticks {
                    let before = joint;
                    joint.step(&limits, scale, reference, dt);
                    prop_assert!(joint.position >= limits.min && joint.position <= limits.max);
                    prop_assert!(joint.velocity.abs() <= limits.velocity);
                    let moved = (joint.position - before.position).abs();
                    prop_assert!(moved <= limits.velocity * dt + 1e-6, "moved {moved}");
                    let change = (joint.velocity - before.velocity).abs();
                    // Braking for a limit rounds a position to 2e-7, felt as 2e-7 / dt.
                    let allowed = limits.acceleration * dt * 1.01 + 1e-6 / dt;
                    prop_assert!(change <= allowed, "velocity changed by {change} > {allowed}");
                    let fastest = (limits.velocity * scale).max(before.velocity.abs() - acceleration * dt);
                    prop_assert!(joint.velocity.abs() <= fastest * 1.000_1, "{} at {scale}", joint.velocity);
                }
            }
        }

        #[test]
        fn uneven_ticks_leave_neither_position_nor_velocity_limits(
            ticks in prop::collection::vec((0.0_f32..0.05, -3.0_f32..3.0), 1..300),
        ) {
            let mut joint = JointMotion::at(0.0);
            for (dt, position) in ticks {
                let before = joint;
                joint.step(&LIMITS, 1.0, Some(Reference { position, velocity: 0.0 }), dt);
                prop_assert!(joint.position >= LIMITS.min && joint.position <= LIMITS.max);
                prop_assert!((joint.position - before.position).abs() <= LIMITS.velocity * dt + 1e-6);
            }
        }
    }
}
