//! Bad policies hurt nobody: nothing is shot away, nothing becomes NaN, nothing goes through the table.

use crate::runner::{Script, Scripted, run_watched};
use nalgebra::Vector3;
use wink_sim::expert::RandomPolicy;
use wink_sim::{Failure, Scene, SimBoard, Split};

/// A cube pushed by a tool at full speed, or fallen to the floor: 0.75 m of free fall end at 3.8 m/s.
const MAX_CUBE_SPEED: f64 = 4.5;
/// On the table nothing is faster than the arm, and a fall from the arm's highest reach ends at 3.4 m/s.
const MAX_CUBE_SPEED_ON_TABLE: f64 = 3.5;
/// Pads are soft, but no finger goes through the cube.
const MAX_PENETRATION_M: f64 = 0.0125;
const EPISODES: u64 = 100;

#[derive(Default)]
struct Worst {
    speed: f64,
    speed_on_table: f64,
    penetration_m: f64,
    high_m: f64,
    low_tool_m: f64,
    off_table: usize,
    moved: usize,
}

impl Worst {
    fn watch(&mut self, board: &SimBoard) {
        let truth = board.truth();
        let cube = truth.cube_position();
        assert!(cube.iter().all(|value| value.is_finite()) && truth.cube_speed.is_finite());
        assert!(
            truth.joint_angles.iter().all(|angle| angle.is_finite()) && truth.finger_m.is_finite()
        );
        self.speed = self.speed.max(truth.cube_speed);
        if cube.z > 0.0 {
            self.speed_on_table = self.speed_on_table.max(truth.cube_speed);
        }
        self.high_m = self.high_m.max(cube.z);
        self.low_tool_m = self.low_tool_m.min(truth.tool_in_world.translation.z);
        let [left, right] = board.finger_penetration_m();
        self.penetration_m = self.penetration_m.max(left).max(right);
    }

    fn check(&self, name: &str) {
        println!(
            "{name}: cube at most {:.2} m/s ({:.2} on the table), {:.2} m high, pads {:.1} mm deep, tool at least {:.1} mm \
             high, moved in {}, off the table in {}",
            self.speed,
            self.speed_on_table,
            self.high_m,
            self.penetration_m * 1e3,
            self.low_tool_m * 1e3,
            self.moved,
            self.off_table
        );
        assert!(
            self.speed <= MAX_CUBE_SPEED,
            "{name}: the cube reached {} m/s",
            self.speed
        );
        assert!(
            self.speed_on_table <= MAX_CUBE_SPEED_ON_TABLE,
            "{name}: {} m/s",
            self.speed_on_table
        );
        assert!(
            self.penetration_m <= MAX_PENETRATION_M,
            "{name}: pads {} m deep",
            self.penetration_m
        );
        assert!(
            self.high_m <= 0.65,
            "{name}: the cube was {} m high",
            self.high_m
        );
        assert!(
            self.low_tool_m >= 0.0,
            "{name}: the tool went to {} m",
            self.low_tool_m
        );
    }
}

fn episodes<S: Script>(name: &str, mut policy: impl FnMut(u64, &Scene) -> S) -> Worst {
    let mut worst = Worst {
        low_tool_m: 1.0,
        ..Worst::default()
    };
    for seed in 0..EPISODES {
        let scene = Scene::new(Split::Train, seed);
        let episode = run_watched(&scene, "", policy(seed, &scene), false, |board, _| {
            worst.watch(board)
        });
        worst.off_table += usize::from(episode.outcome.off_table());
        let [x, y] = scene.cube_xy;
        let moved = (Vector3::from(episode.outcome.cube_m) - Vector3::new(x, y, 0.015)).norm();
        worst.moved += usize::from(moved > 0.005);
    }
    worst.check(name);
    worst
}

/// Action towards a point in the world, at most `most` action units an axis.
fn towards(tool: Vector3<f64>, goal: Vector3<f64>, most: f64, gripper: f32) -> [f32; 7] {
    let mut action = [0.0; 7];
    for axis in 0..3 {
        action[axis] = ((goal[axis] - tool[axis]) * 2.0).clamp(-most, most) as f32;
    }
    action[6] = gripper;
    action
}

/// Cheap noise that needs no generator: uniform in -1..1 from a counter.
fn noise(seed: u64, step: usize, axis: u64) -> f64 {
    let mut bits = (seed * 1_000_003 + step as u64 * 7 + axis).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

#[test]
fn random_actions() {
    episodes("random", |seed, _| RandomPolicy::new(seed));
}

#[test]
fn noisy_grasps() {
    let worst = episodes("noisy", |seed, _| {
        Scripted::new(move |step, truth| {
            let tool = truth.tool_in_world.translation.vector;
            let lift = if step % 60 > 30 { 0.1 } else { 0.0 };
            let goal = truth.cube_position() + Vector3::new(0.0, 0.0, lift);
            let mut action = towards(tool, goal, 0.3, if step % 60 > 20 { 0.0 } else { 1.0 });
            for (axis, value) in action.iter_mut().take(6).enumerate() {
                *value += 0.3 * noise(seed, step, axis as u64) as f32;
            }
            action
        })
    });
    assert!(
        worst.moved > 50,
        "the hand never came to the cube: {}",
        worst.moved
    );
}

#[test]
fn fingers_pressed_onto_the_cube() {
    let worst = episodes("crush", |seed, _| {
        Scripted::new(move |step, truth| {
            let tool = truth.tool_in_world.translation.vector;
            let cube = truth.cube_position();
            let side = 0.03 * Vector3::new(noise(seed, 0, 0), noise(seed, 0, 1), 0.0);
            if step < 40 {
                towards(
                    tool,
                    cube + side + Vector3::new(0.0, 0.0, 0.06),
                    0.5,
                    (seed % 2) as f32,
                )
            } else {
                [
                    0.1 * noise(seed, step, 2) as f32,
                    0.1 * noise(seed, step, 3) as f32,
                    -1.0,
                    0.0,
                    0.0,
                    0.0,
                    (step / 10 % 2) as f32,
                ]
            }
        })
    });
    assert!(worst.moved > 20, "{}", worst.moved);
}

#[test]
fn the_closed_hand_swept_across_the_table() {
    let worst = episodes("sweep", |seed, _| {
        Scripted::new(move |step, truth| {
            let tool = truth.tool_in_world.translation.vector;
            let phase = (step / 12) % 2;
            let reach = if phase == 0 { 0.3 } else { -0.3 };
            let goal = Vector3::new(
                truth.cube_position().x,
                0.7 + reach + 0.05 * noise(seed, step, 0),
                0.015,
            );
            towards(tool, goal, 1.0, 0.0)
        })
    });
    assert!(worst.moved > 50, "{}", worst.moved);
}

#[test]
fn a_cube_at_the_edge_is_pushed_off_the_table() {
    let scene = Scene {
        cube_xy: [-0.15, 0.26],
        ..Scene::new(Split::Train, 0)
    };
    let script = Scripted::new(|step, truth| {
        let tool = truth.tool_in_world.translation.vector;
        let goal = if step < 60 {
            Vector3::new(-0.15, 0.36, 0.02)
        } else {
            Vector3::new(-0.15, 0.1, 0.02)
        };
        towards(tool, goal, 0.5, 0.0)
    });
    let episode = run_watched(&scene, "", script, false, |_, _| {});
    assert!(
        episode.outcome.off_table(),
        "the cube lies at {:?}",
        episode.outcome.cube_m
    );
    assert_eq!(
        episode.outcome.failure(scene.target),
        Some(Failure::NeverGrasped)
    );
}
