//! Keys: one joint at a time.

use anyhow::Result;
use wink_runtime::arm::{ArmDescription, JointValues};

use super::Person;
use super::operator::Wish;
use crate::arm::joints;

/// How far a key moves a joint, as a share of what it does in a second at its full speed.
const STEP: f64 = 0.02;

/// Joints that keys move.
#[derive(Debug, Clone)]
pub struct Keys {
    names: Vec<String>,
    steps: Vec<f64>,
    chosen: usize,
    /// Steps of each joint that were not taken yet.
    pressed: Vec<i32>,
}

impl Keys {
    /// Keys for an arm; the first joint is chosen.
    pub fn new(arm: &ArmDescription) -> Self {
        let all = joints(arm);
        Self {
            names: all.iter().map(|joint| joint.name.to_owned()).collect(),
            steps: all.iter().map(|joint| joint.velocity * STEP).collect(),
            chosen: 0,
            pressed: vec![0; all.len()],
        }
    }

    /// The joint that is chosen.
    pub fn chosen(&self) -> &str {
        &self.names[self.chosen]
    }

    /// Chooses the next joint, or the one before.
    pub fn choose(&mut self, forward: bool) {
        let count = self.names.len();
        self.chosen = (self.chosen + if forward { 1 } else { count - 1 }) % count;
    }

    /// Moves the joint that is chosen by one step.
    pub fn press(&mut self, up: bool) {
        self.pressed[self.chosen] += if up { 1 } else { -1 };
    }
}

impl Person for Keys {
    fn with(&self) -> &str {
        "keys"
    }

    fn wanted(&mut self, told: &JointValues) -> Result<JointValues> {
        let mut wanted = *told;
        let moves = self.pressed.iter_mut().zip(&self.steps);
        for (position, (pressed, step)) in wanted.iter_mut().zip(moves) {
            *position += f64::from(std::mem::take(pressed)) * step;
        }
        Ok(wanted)
    }

    fn key(&mut self, wish: Wish) {
        match wish {
            Wish::Choose { forward } => self.choose(forward),
            Wish::Move { up } => self.press(up),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_move_the_joint_that_is_chosen_and_only_it() {
        let arm = wink_sim::setup::SO101.arm();
        let mut keys = Keys::new(&arm);
        keys.choose(false);
        assert_eq!(keys.chosen(), "gripper");
        keys.choose(true);
        keys.choose(true);
        assert_eq!(keys.chosen(), "shoulder_lift");
        keys.press(true);
        keys.press(true);
        keys.press(false);
        let home = arm.wire_home();
        let wanted = keys.wanted(&home).unwrap();
        let moved = |joint: usize| wanted[joint] - home[joint];
        assert!((moved(1) - joints(&arm)[1].velocity * STEP).abs() < 1e-12);
        assert!(
            (0..6)
                .filter(|joint| *joint != 1)
                .all(|joint| moved(joint) == 0.0)
        );
        assert_eq!(keys.wanted(&home).unwrap(), home);
    }
}
