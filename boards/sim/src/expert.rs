//! Policies that need no network: the benchmark's scripted expert, and noise.

use crate::outcome::Truth;
use crate::scene::{Draw, Scene, instruction};
use crate::setup::Script;
use crate::shown::Shown;
use nalgebra::Vector3;
use wink_runtime::control::{PROPRIO_DIM, PROPRIO_STATE};
use wink_runtime::policy::{ActionChunk, ChunkShape, Observation, Policy, PolicyError};

/// Values per action: dx, dy, dz, droll, dpitch, dyaw, gripper.
pub const ACTION_DIM: usize = 7;
/// Scripts decide anew at every step.
pub(crate) const ONE_ACTION: ChunkShape = ChunkShape {
    steps: 1,
    execute: 1,
    dim: ACTION_DIM,
};
/// The tool is above the cube when it is this near to where it grasps it, seen from above.
const ABOVE_M: f64 = 0.003;
const CLOSED: f32 = 0.0;

/// A stage of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// To the cube, fingers open.
    Reach,
    /// Fingers closing around the cube.
    Close,
    /// Straight up.
    Lift,
    /// To a point over the card.
    Carry,
    /// Fingers open, to the end of the episode.
    Release,
}

impl Phase {
    /// Steps that the stage lasts in a cell's script; the release lasts to the end.
    #[must_use]
    pub const fn steps(self, script: &Script) -> usize {
        match self {
            Self::Reach | Self::Carry => script.way_steps,
            Self::Close => script.close_steps,
            Self::Lift => script.lift_steps,
            Self::Release => usize::MAX,
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Reach => Self::Close,
            Self::Close => Self::Lift,
            Self::Lift => Self::Carry,
            Self::Carry | Self::Release => Self::Release,
        }
    }
}

/// The benchmark's script: reach, close, lift, carry, release. It looks at the true state, and follows the label in the
/// instruction to the card that bears it.
///
/// Show it the truth before every step: [`Expert::shown`].
pub struct Expert {
    script: Script,
    control_hz: f64,
    labels: [&'static str; 3],
    seed: u64,
    card: usize,
    phase: Phase,
    step: usize,
    lift_xy: [f64; 2],
    shown: Shown,
}

impl Expert {
    /// A script for a table.
    #[must_use]
    pub fn new(scene: &Scene) -> Self {
        Self {
            script: scene.setup.script,
            control_hz: scene.setup.control_hz,
            labels: scene.cards.map(|card| card.label()),
            seed: scene.seed,
            card: scene.target,
            phase: Phase::Reach,
            step: 0,
            lift_xy: [0.0; 2],
            shown: Shown::default(),
        }
    }

    /// Where the script looks at the true state of the table: to be shown before every step.
    #[must_use]
    pub fn shown(&self) -> Shown {
        self.shown.clone()
    }

    /// The stage that the next step belongs to.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The card that the script carries the cube to.
    #[must_use]
    pub const fn card(&self) -> usize {
        self.card
    }

    /// The next action for a measured tool position, in action units.
    fn action(&mut self, tool_m: Vector3<f64>, truth: &Truth) -> [f32; ACTION_DIM] {
        let script = self.script;
        let grip = Vector3::from(script.grip_from_tool_m);
        let goal = match self.phase {
            Phase::Reach => {
                let mut goal = truth.cube_position() - grip;
                if tool_m.z < script.reach_floor_m {
                    goal.z = tool_m.z;
                }
                if let Some(hover_m) = script.hover_m
                    && (goal.xy() - tool_m.xy()).norm() > ABOVE_M
                {
                    goal.z = goal.z.max(hover_m.min(tool_m.z));
                }
                Some(goal)
            }
            Phase::Lift => {
                if self.step == 0 {
                    self.lift_xy = [tool_m.x, tool_m.y];
                }
                Some(Vector3::new(
                    self.lift_xy[0],
                    self.lift_xy[1],
                    script.lift_m,
                ))
            }
            Phase::Carry => {
                let mut goal = truth.card_centres[self.card].coords - grip;
                goal.z += script.carry_m;
                Some(goal)
            }
            Phase::Close | Phase::Release => None,
        };
        let gripper = match self.phase {
            Phase::Reach | Phase::Release => script.open,
            Phase::Close | Phase::Lift | Phase::Carry => CLOSED,
        };
        let mut action = [0.0; ACTION_DIM];
        action[6] = gripper;
        if let Some(goal) = goal {
            let scale = script.gain / self.phase.steps(&script) as f64;
            for axis in 0..3 {
                action[axis] = ((goal[axis] - tool_m[axis]) * scale).clamp(-1.0, 1.0) as f32;
            }
        }
        self.step += 1;
        if self.step >= self.phase.steps(&script) {
            self.phase = self.phase.next();
            self.step = 0;
        }
        action
    }
}

impl Policy for Expert {
    fn begin_episode(&mut self, instruction_text: &str) -> Result<(), PolicyError> {
        let named = named(&self.labels, instruction_text);
        // Told of a card that is not there, the script takes any: what it does then says nothing about recognition.
        self.card =
            named.unwrap_or_else(|| Draw::from_stream(self.seed, UNKNOWN_LABEL_STREAM).below(3));
        self.phase = Phase::Reach;
        self.step = 0;
        self.shown.forget();
        Ok(())
    }

    fn act(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        let (tool_m, truth) = seen(&self.shown, observation)?;
        let action = self.action(tool_m, &truth);
        out.reset(1, ACTION_DIM);
        out.data.copy_from_slice(&action);
        Ok(())
    }

    fn needs_frame(&self) -> bool {
        false
    }

    fn control_hz(&self) -> Option<f64> {
        Some(self.control_hz)
    }

    fn chunk_shape(&self) -> ChunkShape {
        ONE_ACTION
    }
}

/// What a script acts on: where the tool is, m, and the truth that it was shown before this step.
pub(crate) fn seen(
    shown: &Shown,
    observation: &Observation<'_>,
) -> Result<(Vector3<f64>, Truth), PolicyError> {
    let truth = shown.take().ok_or_else(|| {
        PolicyError::Other("the script was not shown the table before this step".to_owned())
    })?;
    let measured = observation.state(PROPRIO_STATE).map(|state| state.values);
    let Some(&[x, y, z, ..]) = measured else {
        return Err(PolicyError::StateLength {
            state: PROPRIO_STATE.to_owned(),
            expected: PROPRIO_DIM,
            given: measured.map_or(0, <[f32]>::len),
        });
    };
    Ok((Vector3::new(x, y, z).cast::<f64>(), truth))
}

const UNKNOWN_LABEL_STREAM: u64 = 100;
const RANDOM_STREAM: u64 = 101;

/// Uniform actions: what chance alone reaches.
pub struct RandomPolicy {
    seed: u64,
    draw: Draw,
    control_hz: Option<f64>,
}

impl RandomPolicy {
    /// Noise that follows from `seed`; every episode starts the same sequence again.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            draw: Draw::from_stream(seed, RANDOM_STREAM),
            control_hz: None,
        }
    }

    /// The same at a rate, Hz.
    #[must_use]
    pub fn at(self, control_hz: f64) -> Self {
        Self {
            control_hz: Some(control_hz),
            ..self
        }
    }
}

impl Policy for RandomPolicy {
    fn begin_episode(&mut self, _instruction: &str) -> Result<(), PolicyError> {
        self.draw = Draw::from_stream(self.seed, RANDOM_STREAM);
        Ok(())
    }

    fn act(
        &mut self,
        _observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        out.reset(1, ACTION_DIM);
        for value in &mut out.data {
            *value = self.draw.signed() as f32;
        }
        out.data[ACTION_DIM - 1] = self.draw.unit() as f32;
        Ok(())
    }

    fn needs_frame(&self) -> bool {
        false
    }

    fn control_hz(&self) -> Option<f64> {
        self.control_hz
    }

    fn chunk_shape(&self) -> ChunkShape {
        ONE_ACTION
    }
}

/// The card that a sentence names: the benchmark's own, or any other with a label in it, of several the longest.
fn named(labels: &[&str; 3], instruction_text: &str) -> Option<usize> {
    let exact = labels
        .iter()
        .position(|label| instruction(label) == instruction_text);
    let spaced = format!(" {instruction_text} ");
    exact.or_else(|| {
        (0..labels.len())
            .filter(|&card| spaced.contains(&format!(" {} ", labels[card])))
            .max_by_key(|&card| labels[card].len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_in_any_sentence() {
        let labels = ["train", "high-speed train", "ear"];
        for (told, card) in [
            ("pick the block and place it on train", Some(0)),
            ("drop the cube on the train card", Some(0)),
            ("put the block onto the high-speed train", Some(1)),
            ("the block goes on the ear card", Some(2)),
            ("put the block near the bear", None),
            ("", None),
        ] {
            assert_eq!(named(&labels, told), card, "{told}");
        }
    }
}
