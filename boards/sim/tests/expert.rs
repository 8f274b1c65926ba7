//! The scripted expert through the whole way: control loop, wire, firmware core, servos, physics.

use wink_runtime::arm::ArmDescription;
use wink_runtime::control::ControlConfig;
use wink_runtime::episode::ControlLoop;
use wink_sim::expert::{Expert, Phase};
use wink_sim::{MAX_STEPS, Outcome, Scene, SimBoard, SimOptions, Split};

const EPISODES: u64 = 100;

struct Episode {
    outcome: Outcome,
    steps: usize,
    card: usize,
    slip_m: f64,
    penetration_m: f64,
    hash: u64,
}

fn run(scene: &Scene, instruction: &str) -> Episode {
    let mut board = SimBoard::new(scene, SimOptions::default()).unwrap();
    let mut control = ControlLoop::new(ArmDescription::wx250s(), ControlConfig::default());
    let mut expert = Expert::new(scene);
    control.connect(&mut board).unwrap();
    control.begin(&mut board, &mut expert, instruction).unwrap();
    let mut held_in_tool = None;
    let (mut slip_m, mut penetration_m) = (0.0_f64, 0.0_f64);
    let mut steps = 0;
    while steps < MAX_STEPS && board.outcome().executed().is_none() {
        let truth = board.truth();
        expert.observe(&truth);
        if matches!(expert.phase(), Phase::Lift | Phase::Carry) && truth.grasped {
            let cube_in_tool = truth.tool_in_world.inverse() * nalgebra::Point3::from(truth.cube_position());
            let first = held_in_tool.get_or_insert(cube_in_tool);
            slip_m = slip_m.max((cube_in_tool - *first).norm());
        }
        let tick = control.tick(&mut board, &mut expert).unwrap();
        let [left, right] = board.finger_penetration_m();
        penetration_m = penetration_m.max(left).max(right);
        if std::env::var_os("TRACE").is_some() {
            let truth = board.truth();
            let t = truth.tool_in_world.translation.vector;
            let c = truth.cube_position();
            eprintln!(
                "{steps:3} {:?} tool {:.4} {:.4} {:.4} cube {:.4} {:.4} {:.4} finger {:.4} force {:.2?} pen {:.5} {:.5} err {:.4} a {:.2?}",
                expert.phase(), t.x, t.y, t.z, c.x, c.y, c.z, truth.finger_m, truth.finger_force_n, left, right, tick.step.position_error_m, tick.action()
            );
        }
        steps += 1;
    }
    Episode { outcome: board.outcome(), steps, card: expert.card(), slip_m, penetration_m, hash: board.state_hash() }
}

#[test]
fn the_expert_succeeds_on_every_split() {
    for split in Split::ALL {
        let (mut successes, mut steps, mut slip_m, mut penetration_m) = (0, vec![], 0.0_f64, 0.0_f64);
        for seed in 0..EPISODES {
            let scene = Scene::new(split, seed);
            let episode = run(&scene, &scene.instruction());
            if episode.outcome.success(scene.target) {
                successes += 1;
                steps.push(episode.steps);
            } else {
                eprintln!("{split} {seed}: {:?} {:?}", episode.outcome.failure(scene.target), episode.outcome);
            }
            slip_m = slip_m.max(episode.slip_m);
            penetration_m = penetration_m.max(episode.penetration_m);
        }
        steps.sort_unstable();
        eprintln!(
            "{split}: {successes}/{EPISODES}, steps {:?}..{:?}..{:?}, slip {slip_m:.5} m, penetration {penetration_m:.5} m",
            steps.first(),
            steps.get(steps.len() / 2),
            steps.last()
        );
        assert!(successes * 100 >= EPISODES * 99, "{split}: {successes} of {EPISODES}");
        assert!(penetration_m <= 0.003, "{split}: fingers sink {penetration_m} m into the cube");
        assert!(slip_m <= 0.003, "{split}: the cube slips {slip_m} m");
    }
}
