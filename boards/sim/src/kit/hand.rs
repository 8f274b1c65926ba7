//! A hand that moves one joint.

use std::collections::VecDeque;

/// One straight way of a hand.
#[derive(Debug, Clone, Copy)]
struct Leg {
    to: f64,
    left_us: u64,
}

/// Ways that a hand is still to go with a joint.
#[derive(Debug, Clone, Default)]
pub(super) struct Hand {
    legs: VecDeque<Leg>,
}

impl Hand {
    /// Adds a way to a position, rad or m.
    pub(super) fn go(&mut self, to: f64, time_us: u64) {
        let left_us = time_us.max(1);
        self.legs.push_back(Leg { to, left_us });
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.legs.is_empty()
    }

    /// Where the joint is after so much time; `None` where the hand has nothing to do.
    pub(super) fn step(&mut self, from: f64, time_us: u64) -> Option<f64> {
        let leg = self.legs.front_mut()?;
        let share = (time_us as f64 / leg.left_us as f64).min(1.0);
        let position = from + (leg.to - from) * share;
        leg.left_us = leg.left_us.saturating_sub(time_us);
        if leg.left_us == 0 {
            self.legs.pop_front();
        }
        Some(position)
    }
}
