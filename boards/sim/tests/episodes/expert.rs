//! The scripted expert does the task, and does it by words.

use std::sync::{Arc, Mutex};

use crate::runner::{run, run_watched};
use nalgebra::Point3;
use wink_sim::expert::{Expert, Phase, RandomPolicy};
use wink_sim::{Scene, Split};

const EPISODES: u64 = 100;
/// The pads are rubber of some millimetres; contact is soft to that degree.
const MAX_PENETRATION_M: f64 = 0.0025;
const MAX_SLIP_M: f64 = 0.0015;

#[test]
fn the_expert_succeeds_on_every_split() {
    for split in Split::ALL {
        let (mut successes, mut steps) = (0, vec![]);
        let (mut slip_m, mut penetration_m) = (0.0_f64, 0.0_f64);
        for seed in 0..EPISODES {
            let scene = Scene::new(split, seed);
            let mut held_in_tool = None;
            let episode = run_watched(
                &scene,
                &scene.instruction(),
                Expert::new(&scene),
                true,
                |board, report| {
                    let [left, right] = board.finger_penetration_m();
                    penetration_m = penetration_m.max(left).max(right);
                    let truth = board.truth();
                    let carried =
                        report.step.unwrap().action[6] == 0.0 && truth.cube_position().z > 0.02;
                    if carried && truth.grasped {
                        let cube_in_tool =
                            truth.tool_in_world.inverse() * Point3::from(truth.cube_position());
                        let first = held_in_tool.get_or_insert(cube_in_tool);
                        slip_m = slip_m.max((cube_in_tool - *first).norm());
                    }
                },
            );
            if episode.outcome.success(scene.target) {
                successes += 1;
                steps.push(episode.steps);
            } else {
                println!(
                    "{split} {seed}: {:?}: {:?}",
                    episode.outcome.failure(scene.target),
                    episode.outcome
                );
            }
            assert!(
                episode.outcome.ever_lifted,
                "{split} {seed}: the cube was not lifted"
            );
        }
        steps.sort_unstable();
        println!(
            "{split}: {successes}/{EPISODES}, median {} steps, at most {}; slip {:.2} mm, penetration {:.2} mm",
            steps[steps.len() / 2],
            steps[steps.len() - 1],
            slip_m * 1e3,
            penetration_m * 1e3
        );
        assert!(
            successes * 100 >= EPISODES * 99,
            "{split}: {successes} of {EPISODES}"
        );
        assert!(
            penetration_m <= MAX_PENETRATION_M,
            "{split}: fingers sink {penetration_m} m into the cube"
        );
        assert!(
            slip_m <= MAX_SLIP_M,
            "{split}: the cube slips by {slip_m} m"
        );
    }
}

#[test]
fn told_another_cards_label_the_expert_follows_the_label() {
    for seed in 0..30 {
        let scene = Scene::new(Split::Val, seed);
        let other = (scene.target + 1 + seed as usize % 2) % 3;
        let episode = run(&scene, &scene.instruction_for(other), Expert::new(&scene));
        assert!(
            episode.outcome.success(other),
            "{seed}: {:?}",
            episode.outcome
        );
    }
}

#[test]
fn told_nonsense_the_expert_takes_any_card() {
    let mut hits = 0;
    for seed in 0..90 {
        let scene = Scene::new(Split::Val, seed);
        let mut expert = Expert::new(&scene);
        wink_runtime::policy::Policy::begin_episode(
            &mut expert,
            "pick the block and place it on qwrtz",
        )
        .unwrap();
        hits += usize::from(expert.card() == scene.target);
    }
    // 4 standard deviations around 30.
    assert!((12..=48).contains(&hits), "{hits} of 90");
}

#[test]
fn the_script_goes_through_its_stages_in_order() {
    let scene = Scene::new(Split::Train, 5);
    let expert = Arc::new(Mutex::new(Expert::new(&scene)));
    let phase = || expert.lock().unwrap().phase();
    assert_eq!(phase(), Phase::Reach);
    let mut gripper = vec![];
    run_watched(
        &scene,
        &scene.instruction(),
        Arc::clone(&expert),
        true,
        |_, report| gripper.push(report.step.unwrap().action[6]),
    );
    assert_eq!(phase(), Phase::Release);
    assert!(gripper[..50].iter().all(|&value| value == 1.0));
    assert!(gripper[50..125].iter().all(|&value| value == 0.0));
    assert!(gripper[125..].iter().all(|&value| value == 1.0));
}

#[test]
fn chance_alone_places_nothing() {
    let placed = (0..30)
        .filter(|&seed| {
            let scene = Scene::new(Split::Val, seed);
            run(&scene, &scene.instruction(), RandomPolicy::new(seed))
                .outcome
                .executed()
                .is_some()
        })
        .count();
    assert!(placed <= 1, "{placed} of 30");
}
