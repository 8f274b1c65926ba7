//! Whole episodes, every state of every substep, bit for bit: physics, servos, firmware core, wire and control.
//!
//! A change of the physics on purpose changes the digests: look at the episodes first, then write the new ones down.

use wink_runtime::episode::ControlLoop;
use wink_runtime::policy::Policy;
use wink_sim::diverse::TaskExpert;
use wink_sim::expert::{Expert, RandomPolicy};
use wink_sim::{DiverseScene, Scene, SimBoard, SimOptions, Split, Truth};

const EXPERT: [(Split, u64, u64); 6] = [
    (Split::Id, 0, 0x1dbc_adff_0bbf_f85b),
    (Split::Id, 1, 0x5737_fee9_6331_fc9f),
    (Split::Train, 2, 0x14e2_f304_ae5c_d4b6),
    (Split::Train, 3, 0xf2e4_7b37_406e_0306),
    (Split::Val, 4, 0x3929_1617_d965_cfb0),
    (Split::Val, 5, 0x1dd2_464f_93a9_47c2),
];
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

fn digest<P: Policy>(scene: &Scene, policy: &mut P, observe: impl Fn(&mut P, &Truth)) -> u64 {
    let board = SimBoard::new(scene, SimOptions::default()).unwrap();
    digest_of(board, &scene.instruction(), policy, observe)
}

fn digest_of<P: Policy>(
    mut board: SimBoard,
    instruction: &str,
    policy: &mut P,
    observe: impl Fn(&mut P, &Truth),
) -> u64 {
    let setup = board.table().setup;
    let mut control = ControlLoop::new(setup.arm(), setup.control_config());
    control.connect(&mut board).unwrap();
    control.begin(&mut board, policy, instruction).unwrap();
    for _ in 0..setup.max_steps {
        observe(policy, &board.truth());
        control.tick(&mut board, policy).unwrap();
    }
    board.state_hash()
}

fn check(want: &[(Split, u64, u64)], digest: impl Fn(&Scene) -> u64) {
    let got: Vec<_> = want
        .iter()
        .map(|&(split, seed, _)| (split, seed, digest(&Scene::new(split, seed))))
        .collect();
    assert_eq!(got, want, "got {got:#x?}");
}

#[test]
fn the_experts_episodes_are_the_same_on_every_machine() {
    check(&EXPERT, |scene| {
        digest(scene, &mut Expert::new(scene), Expert::observe)
    });
}

#[test]
fn other_tasks_are_the_same_on_every_machine() {
    let got = DIVERSE.map(|(number, ..)| {
        let scene = DiverseScene::new(number);
        let board = SimBoard::with_table(scene.table.clone(), SimOptions::default()).unwrap();
        let told = &scene.instruction;
        let mut expert = TaskExpert::new(&scene);
        let digest = digest_of(board, told, &mut expert, TaskExpert::observe);
        (number, scene.task.kind(), digest)
    });
    assert_eq!(got, DIVERSE, "got {got:#x?}");
}

#[test]
fn random_episodes_are_the_same_on_every_machine() {
    check(&RANDOM, |scene| {
        digest(scene, &mut RandomPolicy::new(scene.seed), |_, _| {})
    });
}
