//! Whole episodes, every state of every substep, bit for bit: physics, servos, firmware core, wire and control.
//!
//! A change of the physics on purpose changes the digests: look at the episodes first, then write the new ones down.

use wink_runtime::arm::ArmDescription;
use wink_runtime::control::ControlConfig;
use wink_runtime::episode::ControlLoop;
use wink_runtime::policy::Policy;
use wink_sim::expert::{Expert, RandomPolicy};
use wink_sim::{MAX_STEPS, Scene, SimBoard, SimOptions, Split, Truth};

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

fn digest<P: Policy>(scene: &Scene, policy: &mut P, observe: impl Fn(&mut P, &Truth)) -> u64 {
    let mut board = SimBoard::new(scene, SimOptions::default()).unwrap();
    let mut control = ControlLoop::new(ArmDescription::wx250s(), ControlConfig::default());
    control.connect(&mut board).unwrap();
    control
        .begin(&mut board, policy, &scene.instruction())
        .unwrap();
    for _ in 0..MAX_STEPS {
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
fn random_episodes_are_the_same_on_every_machine() {
    check(&RANDOM, |scene| {
        digest(scene, &mut RandomPolicy::new(scene.seed), |_, _| {})
    });
}
