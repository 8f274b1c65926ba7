//! How fast the arm goes from action to action: at the policy's rate, slower where the operator wants it, and slowly towards a target
//! that is far from where the arm is.

use crate::arm::{ArmDescription, JointValues};

/// What a first target may be, and how the arm goes to one that is farther away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StartGuard {
    /// A target of a joint that is farther than this from where the arm was told to be is approached slowly, rad.
    pub within_rad: f64,
    /// The speed of that approach, as a share of the joint's limit, above 0 and at most 1.
    pub share: f64,
}

/// The path between the targets of two actions.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Of the policy's rate, above 0 and at most 1.
    scale: f64,
    /// Part of the way from one action's targets to the next one's, at most 1.
    done: f64,
    from: JointValues,
    to: JointValues,
    guard: Option<StartGuard>,
    approaching: bool,
    /// Of the joints that the guard watches: the arm's, without the gripper.
    watched: usize,
}

impl Pace {
    /// At the policy's rate.
    pub(super) fn new(arm: &ArmDescription, guard: Option<StartGuard>) -> Self {
        Self {
            scale: 1.0,
            done: 1.0,
            from: arm.wire_home(),
            to: arm.wire_home(),
            guard,
            approaching: false,
            watched: arm.joints().len(),
        }
    }

    /// The arm is told to be at `targets`. The next ones are looked at by the guard.
    pub(super) fn begin(&mut self, targets: &JointValues) {
        self.done = 1.0;
        self.from = *targets;
        self.to = *targets;
        self.approaching = self.guard.is_some();
    }

    pub(super) const fn scale(&self) -> f64 {
        self.scale
    }

    /// For the targets after the next beginning.
    pub(super) fn set_guard(&mut self, guard: Option<StartGuard>) {
        self.guard = guard;
    }

    /// The rest of a way that has begun is gone at the new rate.
    pub(super) fn set_scale(&mut self, scale: f64) {
        self.scale = scale;
    }

    /// Whether a new action is due at this tick.
    pub(super) fn is_due(&self) -> bool {
        self.done >= 1.0
    }

    /// Takes the targets of the action that was due.
    pub(super) fn take(&mut self, targets: &JointValues) {
        self.from = self.to;
        self.to = *targets;
        self.done = 0.0;
    }

    /// Whether the arm is on its way to a target that was far away.
    pub(super) const fn is_approaching(&self) -> bool {
        self.approaching
    }

    /// The targets of this tick, after those that were `sent` last.
    pub(super) fn next(
        &mut self,
        sent: &JointValues,
        arm: &ArmDescription,
        period_s: f64,
    ) -> JointValues {
        if let Some(guard) = self.guard.filter(|_| self.approaching) {
            let far = (0..self.watched)
                .any(|joint| (self.to[joint] - sent[joint]).abs() > guard.within_rad);
            if far {
                // Nothing of the action is done until the arm is near to where it begins.
                return towards(sent, &self.to, arm, guard.share * self.scale * period_s);
            }
            self.approaching = false;
            self.from = *sent;
        }
        self.done = (self.done + self.scale).min(1.0);
        if self.done >= 1.0 {
            return self.to;
        }
        let mut targets = self.from;
        for (target, to) in targets.iter_mut().zip(self.to.iter()) {
            *target += (to - *target) * self.done;
        }
        targets
    }
}

/// The next targets on the straight way from `from` to `to` when every joint goes at most `seconds` times its speed limit.
pub(super) fn towards(
    from: &JointValues,
    to: &JointValues,
    arm: &ArmDescription,
    seconds: f64,
) -> JointValues {
    let limits = arm.wire_speeds();
    let part = from
        .iter()
        .zip(to.iter())
        .zip(limits.iter())
        .map(|((from, to), limit)| {
            let way = (to - from).abs();
            if way > 0.0 {
                limit * seconds / way
            } else {
                1.0
            }
        })
        .fold(1.0, f64::min);
    if part >= 1.0 {
        return *to;
    }
    let mut targets = *from;
    for (target, to) in targets.iter_mut().zip(to.iter()) {
        *target += (to - *target) * part;
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(arm: &ArmDescription, pan: f64) -> JointValues {
        let mut targets = arm.wire_home();
        targets[0] = pan;
        targets
    }

    #[test]
    fn at_full_speed_targets_are_those_of_the_actions_bit_for_bit() {
        let arm = ArmDescription::so101();
        let mut pace = Pace::new(&arm, None);
        pace.begin(&at(&arm, 0.1));
        for pan in [0.3, 0.1 + 0.2, -0.7] {
            assert!(pace.is_due());
            pace.take(&at(&arm, pan));
            assert_eq!(pace.next(&at(&arm, 0.0), &arm, 0.05), at(&arm, pan));
        }
    }

    #[test]
    fn at_a_quarter_of_the_speed_an_action_takes_four_ticks() {
        let arm = ArmDescription::so101();
        let mut pace = Pace::new(&arm, None);
        pace.begin(&at(&arm, 0.0));
        pace.set_scale(0.25);
        pace.take(&at(&arm, 0.4));
        let pans: Vec<f64> = (0..4)
            .map(|_| {
                assert!(!pace.is_due());
                pace.next(&at(&arm, 0.0), &arm, 0.05)[0]
            })
            .collect();
        for (pan, expected) in pans.iter().zip([0.1, 0.2, 0.3, 0.4]) {
            assert!((pan - expected).abs() < 1e-12, "{pans:?}");
        }
        assert!(pace.is_due());
    }

    #[test]
    fn a_first_target_that_is_far_is_approached_slowly_and_later_ones_are_not() {
        let arm = ArmDescription::so101();
        let guard = StartGuard {
            within_rad: 0.05,
            share: 0.2,
        };
        let mut pace = Pace::new(&arm, Some(guard));
        let mut sent = at(&arm, 0.0);
        pace.begin(&sent);
        pace.take(&at(&arm, 1.0));
        let most = arm.wire_speeds()[0] * 0.2 * 0.05;
        let mut ticks = 0;
        while !pace.is_due() {
            let next = pace.next(&sent, &arm, 0.05);
            let step = next[0] - sent[0];
            assert!(
                step <= most + 1e-12 || !pace.is_approaching() && step <= 0.05,
                "{step}"
            );
            sent = next;
            ticks += 1;
        }
        assert_eq!(sent[0], 1.0);
        assert!(ticks > 20, "{ticks}");
        pace.take(&at(&arm, 0.0));
        assert_eq!(pace.next(&sent, &arm, 0.05)[0], 0.0);
        // After a new beginning the guard looks again.
        pace.begin(&sent);
        pace.take(&at(&arm, 1.0));
        assert!(pace.next(&at(&arm, 0.0), &arm, 0.05)[0] <= most + 1e-12);
    }
}
