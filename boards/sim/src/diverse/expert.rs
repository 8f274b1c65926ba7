//! The script that does the tasks: a few aims, one after the other, followed by what it sees of the true table.

use std::f64::consts::{FRAC_PI_2, PI};

use nalgebra::{UnitQuaternion, Vector3};
use wink_runtime::policy::{ActionChunk, ChunkShape, Observation, Policy, PolicyError};

use super::layout::{RUN_UP_M, radius};
use super::scene::DiverseScene;
use super::task::Task;
use crate::expert::{ACTION_DIM, ONE_ACTION, seen};
use crate::outcome::Truth;
use crate::scene::Draw;
use crate::shown::Shown;
use crate::table::Solid;
use crate::world::shape::{FINGERTIP_REACH_M, LEFT_FINGER};

/// Keeps the pace's draw apart from all others.
const STREAM: u64 = 0x7061_6365;
/// The tool goes no lower: fingertips stay some millimetres over the table.
const FLOOR_M: f64 = 0.027;
/// Fingertips pass this far over an object before they come down around it.
const HOVER_M: f64 = 0.025;
/// The tool's height when something is carried, or nothing pushed yet.
const TRAVEL_M: f64 = 0.13;
const BEFORE_PUSH_M: f64 = 0.09;
/// The tool's height in a push.
const PUSH_M: f64 = 0.03;
/// An object is let go this far over what it is set down on.
const DROP_M: f64 = 0.003;
/// Share of a wrong yaw that is put right in a step, in action units per radian.
const YAW_GAIN: f64 = 1.5;
const CLOSED: f32 = 0.0;
const OPEN: f32 = 1.0;

/// Where a stage of the script leads the tool.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Aim {
    /// Over the object, turned as it is.
    Over,
    /// Down around the object.
    Around,
    /// Straight up to a height.
    Rise(f64),
    /// With the object, high over the goal.
    Carry,
    /// With the object, down to the goal.
    Lower,
    /// To a point.
    To(Vector3<f64>),
    /// Nowhere.
    Stay,
}

/// A stage of the script.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stage {
    aim: Aim,
    gripper: f32,
    /// Share of the remaining way in a step, in action units per metre.
    gain: f64,
    /// The stage ends this near to its aim.
    near_m: f64,
    /// Or after so many steps.
    steps: usize,
}

const fn stage(aim: Aim, gripper: f32, gain: f64, near_m: f64, steps: usize) -> Stage {
    Stage {
        aim,
        gripper,
        gain,
        near_m,
        steps,
    }
}

/// Does the task of a scene, whatever it is told. Show it the truth before every step: [`TaskExpert::shown`].
pub struct TaskExpert {
    scene: DiverseScene,
    script: Vec<Stage>,
    /// How quick it is: what the gains are multiplied by.
    pace: f64,
    at: usize,
    step: usize,
    began: Vector3<f64>,
    shown: Shown,
}

impl TaskExpert {
    /// A script for a scene.
    #[must_use]
    pub fn new(scene: &DiverseScene) -> Self {
        Self {
            script: script(scene),
            pace: 0.8 + 0.45 * Draw::from_stream(scene.table.seed, STREAM).unit(),
            scene: scene.clone(),
            at: 0,
            step: 0,
            began: Vector3::zeros(),
            shown: Shown::default(),
        }
    }

    /// Where the script looks at the true state of the table: to be shown before every step.
    #[must_use]
    pub fn shown(&self) -> Shown {
        self.shown.clone()
    }

    /// The next action for a measured tool position, in action units.
    fn action(&mut self, tool_m: Vector3<f64>, truth: &Truth) -> [f32; ACTION_DIM] {
        let Stage {
            aim,
            gripper,
            gain,
            near_m,
            steps,
        } = self.script[self.at];
        if self.step == 0 {
            self.began = tool_m;
        }
        let mut action = [0.0; ACTION_DIM];
        action[6] = gripper;
        let mut is_near = false;
        if let Some(goal) = self.goal(aim, tool_m, truth) {
            let way = goal - tool_m;
            is_near = way.norm() <= near_m;
            for axis in 0..3 {
                action[axis] = (way[axis] * gain * self.pace).clamp(-1.0, 1.0) as f32;
            }
        }
        if matches!(aim, Aim::Over | Aim::Around) {
            action[5] = (self.turn(truth) * YAW_GAIN).clamp(-1.0, 1.0) as f32;
        }
        self.step += 1;
        if (is_near || self.step >= steps) && self.at + 1 < self.script.len() {
            self.at += 1;
            self.step = 0;
        }
        action
    }

    fn goal(&self, aim: Aim, tool_m: Vector3<f64>, truth: &Truth) -> Option<Vector3<f64>> {
        let object = truth.cube_position();
        let [_, _, half_height] = self.scene.table.objects[0].solid.half_extents_m();
        // Where the tool is when the held object stands on its goal.
        let set_down = || {
            let stands = self.scene.goal.coords + Vector3::z() * (half_height + DROP_M);
            stands + tool_m - object
        };
        Some(match aim {
            Aim::Over => {
                let over = half_height + FINGERTIP_REACH_M + HOVER_M;
                object + Vector3::z() * over
            }
            Aim::Around => Vector3::new(object.x, object.y, object.z.max(FLOOR_M)),
            Aim::Rise(z) => Vector3::new(self.began.x, self.began.y, z),
            Aim::Carry => {
                let over = set_down();
                Vector3::new(over.x, over.y, over.z.max(TRAVEL_M))
            }
            Aim::Lower => set_down(),
            Aim::To(point) => point,
            Aim::Stay => return None,
        })
    }

    /// The smallest turn about the vertical after which the fingers close on two faces of the object, radians.
    fn turn(&self, truth: &Truth) -> f64 {
        let heading = |rotation: &UnitQuaternion<f64>| {
            let y = rotation * Vector3::y();
            libm::atan2(y.y, y.x)
        };
        let period = match self.scene.table.objects[0].solid {
            Solid::Box { half_m: [x, y, _] } if x == y => FRAC_PI_2,
            Solid::Box { .. } => PI,
            Solid::Cylinder { .. } => return 0.0,
        };
        let wrong = heading(&truth.cube_in_world.rotation) - heading(&truth.tool_in_world.rotation);
        wrong - libm::round(wrong / period) * period
    }
}

fn script(scene: &DiverseScene) -> Vec<Stage> {
    let object = &scene.table.objects[0];
    let mut script = vec![
        stage(Aim::Over, OPEN, 1.2, 0.012, 45),
        stage(Aim::Around, OPEN, 1.5, 0.004, 30),
        stage(Aim::Stay, CLOSED, 0.0, 0.0, 8),
    ];
    match scene.task {
        Task::Lift => {
            let tool_over_underside = (FLOOR_M - object.solid.half_extents_m()[2]).max(0.0);
            let z = scene.goal.z + object.solid.half_extents_m()[2] + tool_over_underside;
            script.push(stage(Aim::Rise(z), CLOSED, 1.2, 0.0, usize::MAX));
        }
        Task::Push { side } => {
            let [x, y] = side.direction();
            let way = Vector3::new(x, y, 0.0);
            let from = Vector3::new(object.centre_xy[0], object.centre_xy[1], 0.0);
            let start = from - way * (radius(object) + RUN_UP_M);
            let end = scene.goal.coords - way * contact_m(object.solid, way);
            let at = |point: Vector3<f64>, z: f64| Aim::To(Vector3::new(point.x, point.y, z));
            script = vec![
                stage(at(start, BEFORE_PUSH_M), CLOSED, 1.2, 0.008, 45),
                stage(at(start, PUSH_M), CLOSED, 1.5, 0.005, 30),
                stage(at(end, PUSH_M), CLOSED, 0.8, 0.004, 70),
                stage(Aim::Stay, CLOSED, 0.0, 0.0, usize::MAX),
            ];
        }
        Task::PlaceOn { .. }
        | Task::PlaceBeside { .. }
        | Task::PlaceNextTo { .. }
        | Task::Stack { .. } => {
            // Wide enough to let go, and no wider: there may be something beside the goal.
            let [x, y, _] = object.solid.half_extents_m();
            let travel_m = x.max(y) + 0.010;
            let letting_go = ((travel_m + 0.01) / 0.05).min(1.0) as f32;
            script.extend([
                stage(Aim::Rise(TRAVEL_M), CLOSED, 1.5, 0.02, 25),
                stage(Aim::Carry, CLOSED, 1.0, 0.010, 55),
                stage(Aim::Lower, CLOSED, 1.5, 0.003, 30),
                stage(Aim::Stay, letting_go, 0.0, 0.0, usize::MAX),
            ]);
        }
    }
    script
}

/// Distance from the object's centre to the tool when the closed hand touches it from behind.
fn contact_m(solid: Solid, way: Vector3<f64>) -> f64 {
    let [x, y, _] = solid.half_extents_m();
    let [_, finger_half_y, finger_half_z] = LEFT_FINGER.half_m;
    if way.x == 0.0 {
        y + 2.0 * finger_half_y
    } else {
        x + finger_half_z
    }
}

impl Policy for TaskExpert {
    fn begin_episode(&mut self, _instruction: &str) -> Result<(), PolicyError> {
        self.at = 0;
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

    fn chunk_shape(&self) -> ChunkShape {
        ONE_ACTION
    }
}
