//! Whole episodes, every state of every substep, bit for bit: physics, servos, firmware core, wire and control.
//!
//! A change of the physics on purpose changes the digests: look at the episodes first, then write the new ones down.

use crate::drive::drive;
use wink_runtime::policy::Policy;
use wink_sim::diverse::TaskExpert;
use wink_sim::expert::{Expert, RandomPolicy};
use wink_sim::setup::{SO101, Setup, WX250S};
use wink_sim::{DiverseScene, Scene, Shown, SimBoard, SimOptions, Split};

const EXPERT: [(Split, u64, u64); 6] = [
    (Split::Id, 0, 0x1dbc_adff_0bbf_f85b),
    (Split::Id, 1, 0x5737_fee9_6331_fc9f),
    (Split::Train, 2, 0x14e2_f304_ae5c_d4b6),
    (Split::Train, 3, 0xf2e4_7b37_406e_0306),
    (Split::Val, 4, 0x3929_1617_d965_cfb0),
    (Split::Val, 5, 0x1dd2_464f_93a9_47c2),
];
/// On the SO-101's table: through its driver, its bus and its simulated servos.
const SO101_EXPERT: [(Split, u64, u64); 3] = [
    (Split::Id, 0, 0xe9c9_d075_3018_8d3e),
    (Split::Train, 2, 0xf2cc_5ef9_c98a_fb13),
    (Split::Val, 4, 0xf7a3_3aa8_c78f_1b39),
];
const SO101_RANDOM: [(Split, u64, u64); 1] = [(Split::Val, 7, 0x2a15_5d9b_79ca_ceec)];
const RANDOM: [(Split, u64, u64); 2] = [
    (Split::Train, 6, 0x99a8_44e3_d90f_81cc),
    (Split::Val, 7, 0x831c_2acd_4ef0_0794),
];

/// Scenes of the other tasks.
const DIVERSE: [(u64, &str, u64); 3] = [
    (2, "place_on", 0x4732_b38f_c016_39e1),
    (4, "push", 0xe3ee_b0db_b767_8277),
    (10, "stack", 0x82c1_109f_063d_76c4),
];

fn digest(scene: &Scene, policy: impl Policy + 'static, shown: Option<Shown>) -> u64 {
    let board = SimBoard::new(scene, SimOptions::default()).unwrap();
    digest_of(board, &scene.instruction(), policy, shown)
}

fn digest_of(
    board: SimBoard,
    instruction: &str,
    policy: impl Policy + 'static,
    shown: Option<Shown>,
) -> u64 {
    let mut left = board.table().setup.max_steps + 1;
    // Until a guard of the firmware holds the arm, or the steps are done.
    let over = |_: &SimBoard| {
        left -= 1;
        left == 0
    };
    let board = drive(board, instruction, (policy, shown), over, |_, _| {});
    board.borrow().state_hash()
}

fn check(setup: &'static Setup, want: &[(Split, u64, u64)], digest: impl Fn(&Scene) -> u64) {
    let got: Vec<_> = want
        .iter()
        .map(|&(split, seed, _)| (split, seed, digest(&Scene::on(setup, split, seed))))
        .collect();
    assert_eq!(got, want, "got {got:#x?}");
}

#[test]
fn the_experts_episodes_are_the_same_on_every_machine() {
    for (setup, want) in [(&WX250S, &EXPERT[..]), (&SO101, &SO101_EXPERT[..])] {
        check(setup, want, |scene| {
            let expert = Expert::new(scene);
            let shown = expert.shown();
            digest(scene, expert, Some(shown))
        });
    }
}

#[test]
fn other_tasks_are_the_same_on_every_machine() {
    let got = DIVERSE.map(|(number, ..)| {
        let scene = DiverseScene::new(number);
        let board = SimBoard::with_table(scene.table.clone(), SimOptions::default()).unwrap();
        let told = &scene.instruction;
        let expert = TaskExpert::new(&scene);
        let shown = expert.shown();
        let digest = digest_of(board, told, expert, Some(shown));
        (number, scene.task.kind(), digest)
    });
    assert_eq!(got, DIVERSE, "got {got:#x?}");
}

#[test]
fn random_episodes_are_the_same_on_every_machine() {
    for (setup, want) in [(&WX250S, &RANDOM[..]), (&SO101, &SO101_RANDOM[..])] {
        check(setup, want, |scene| {
            let policy = RandomPolicy::new(scene.seed).at(setup.control_hz);
            digest(scene, policy, None)
        });
    }
}
