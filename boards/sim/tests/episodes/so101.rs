//! The scripted expert on the SO-101's table, through wire, firmware and simulated STS3215 servos.

use wink_firmware::wire::HoldReason;
use wink_runtime::arm::{ArmClient, JointValues, Target};
use wink_runtime::clock::Clock;
use wink_sim::expert::{Expert, RandomPolicy};
use wink_sim::scene::{Scene, Split};
use wink_sim::setup::SO101;
use wink_sim::{SimBoard, SimOptions};

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

/// Sends a setpoint every 30th of a second until the firmware holds, for at most `seconds`; the reason and the joint angles.
fn follow(lift_and_pan: &dyn Fn(f64) -> [f64; 2], seconds: f64) -> (HoldReason, JointValues) {
    const PERIOD_US: u64 = 33_333;
    let scene = Scene::on(&SO101, Split::Val, 0);
    let mut board = SimBoard::new(&scene, SimOptions::default()).unwrap();
    let mut client = ArmClient::new(&SO101.arm());
    client.connect(&mut board, 1_000_000).unwrap();
    let (mut targets, start_us) = (client.positions().unwrap(), board.now_us());
    let mut passed_s = 0.0;
    while passed_s < seconds && client.telemetry().unwrap().hold == HoldReason::None {
        let now_us = board.now_us();
        passed_s = (now_us - start_us) as f64 * 1e-6;
        [targets[1], targets[0]] = lift_and_pan(passed_s);
        client
            .send_setpoint(&mut board, now_us, PERIOD_US, &targets, Target::New)
            .unwrap();
        board.sleep_until(now_us + PERIOD_US);
        client.poll(&mut board, now_us + PERIOD_US).unwrap();
    }
    let hold = client.telemetry().unwrap().hold;
    (hold, board.truth().joint_angles)
}

#[test]
fn an_so101_that_pushes_the_table_is_held_as_stalled() {
    let (hold, angles) = follow(&|_| [1.2, 0.0], 3.0);
    assert_eq!(hold, HoldReason::Stall);
    assert!(angles[1] < 0.9, "the table did not stop it: {angles:?}");
}

#[test]
fn an_so101_that_swings_as_fast_as_it_may_is_not_held() {
    let swing = |time_s: f64| 1.8 * libm::sin(1.6 * time_s);
    let (hold, _) = follow(&|time_s| [0.0, swing(time_s)], 6.0);
    assert_eq!(hold, HoldReason::None);
    let (hold, angles) = follow(&|time_s| [0.0, if time_s < 1.5 { 1.9 } else { -1.9 }], 3.5);
    assert_eq!(hold, HoldReason::None);
    assert!(angles[0] < -1.8, "it did not get there: {angles:?}");
}
