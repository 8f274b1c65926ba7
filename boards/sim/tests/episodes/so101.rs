//! The scripted expert on the SO-101's table, through wire, firmware and simulated STS3215 servos.

use wink_sim::expert::{Expert, RandomPolicy};
use wink_sim::scene::{Scene, Split};
use wink_sim::setup::SO101;

use crate::runner::{run, run_watched};

#[test]
fn the_expert_places_the_cube_on_the_card_that_it_was_told() {
    for split in Split::ALL {
        let done = (0..4)
            .filter(|seed| {
                let scene = Scene::on(&SO101, split, *seed);
                let episode = run(&scene, &scene.instruction(), Expert::new(&scene));
                if !episode.outcome.success(scene.target) {
                    eprintln!("{split} {seed}: {:?}", episode.outcome);
                }
                episode.outcome.success(scene.target)
            })
            .count();
        assert_eq!(done, 4, "{split}");
    }
}

#[test]
fn the_jaw_grasps_by_contact_and_sinks_in_no_deeper_than_soft_contact_does() {
    let scene = Scene::on(&SO101, Split::Val, 0);
    let (mut deepest, mut held) = (0.0_f64, 0);
    run_watched(
        &scene,
        &scene.instruction(),
        Expert::new(&scene),
        true,
        |board, _| {
            let [fixed, moving] = board.finger_penetration_m();
            deepest = deepest.max(fixed).max(moving);
            held += usize::from(board.truth().grasped);
        },
    );
    assert!(held > 60, "held for {held} steps");
    assert!(deepest < 0.004, "{deepest}");
}

#[test]
fn the_same_scene_gives_the_same_bits() {
    let scene = Scene::on(&SO101, Split::Train, 1);
    let hash = || run(&scene, &scene.instruction(), Expert::new(&scene)).hash;
    assert_eq!(hash(), hash());
}

#[test]
fn random_actions_shoot_nothing_away_and_push_nothing_through_the_table() {
    let (mut fastest, mut deepest, mut lowest) = (0.0_f64, 0.0_f64, 1.0_f64);
    for seed in 0..40 {
        let scene = Scene::on(&SO101, Split::Train, seed);
        let policy = RandomPolicy::new(seed).at(SO101.control_hz);
        run_watched(&scene, "", policy, false, |board, _| {
            let truth = board.truth();
            assert!(truth.cube_position().iter().all(|value| value.is_finite()));
            fastest = fastest.max(truth.cube_speed);
            let [fixed, moving] = board.finger_penetration_m();
            deepest = deepest.max(fixed).max(moving);
            lowest = lowest.min(truth.tool_in_world.translation.z);
        });
    }
    println!(
        "cube at most {fastest:.2} m/s, jaws {:.1} mm deep, tool at least {:.1} mm high",
        deepest * 1e3,
        lowest * 1e3
    );
    // A fall to the floor ends at 3.8 m/s.
    assert!(fastest <= 4.5, "{fastest}");
    assert!(deepest <= 0.0125, "{deepest}");
    assert!(lowest >= 0.0, "{lowest}");
}
