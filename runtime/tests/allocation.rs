//! A session allocates nothing once an episode has begun, on no thread: neither the loop nor the policy's worker. Alone in its
//! binary, since it counts every allocation.

mod counting;
mod mock;

use std::path::Path;

use counting::allocations;
use mock::{Constant, MockBoard};
use wink_runtime::arm::ArmDescription;
use wink_runtime::control::schedule::SchedulerKind;
use wink_runtime::policy::{OnnxPolicy, Package};
use wink_runtime::rig::{NamedCamera, Rig, Shared};
use wink_runtime::session::{Latency, Session, StartGuard, Timing};

/// One test: another one beside it would allocate on its own thread, which is counted, too. So would the test harness, which speaks
/// of a test that takes longer than a minute.
#[test]
fn neither_the_loop_nor_the_worker_allocates_after_the_first_chunks() {
    for scheduler in SchedulerKind::ALL {
        let charged = |latency_us| Timing {
            scheduler,
            latency: Latency::charged(latency_us),
        };
        if !matches!(scheduler, SchedulerKind::Guided | SchedulerKind::Trained) {
            ticks_allocate_nothing(scripted(charged(0)), &format!("{scheduler}, 0 ms"));
            ticks_allocate_nothing(scripted(charged(60_000)), &format!("{scheduler}, 60 ms"));
            let mut guarded = scripted(charged(60_000));
            guarded.set_start_guard(StartGuard {
                within_rad: 0.1,
                share: 0.2,
            });
            guarded.set_speed(0.5).expect("a part of the speed");
            ticks_allocate_nothing(guarded, &format!("{scheduler}, 60 ms, half the speed"));
        }
        let case = format!("{scheduler}, 60 ms, wink-so101");
        ticks_allocate_nothing(flow(charged(60_000)), &case);
    }
}

fn ticks_allocate_nothing(mut session: Session, case: &str) {
    session.connect().expect("a mock that works");
    session.begin("pick the block").expect("a mock that works");
    for _ in 0..40 {
        session.tick().expect("a mock that works");
    }
    let (_, before) = allocations();
    assert!(before > 0, "the counter counts");
    let mut chunks = 0;
    for _ in 0..100 {
        let report = session.tick().expect("a mock that works");
        chunks += usize::from(report.arrived);
    }
    let count = allocations().1 - before;
    eprintln!("{case}: {count} allocations in 100 ticks with {chunks} chunks");
    assert_eq!(count, 0, "{case}");
    assert!(chunks >= 5, "{case}: {chunks} chunks");
    // Nor does a person who takes over.
    let mut targets = *session.commanded().expect("targets were sent");
    targets[0] += 0.3;
    let before = allocations().1;
    for _ in 0..20 {
        session.follow(&targets, 0.2).expect("a mock that works");
    }
    assert_eq!(allocations().1, before, "{case}: without the policy");
}

/// A policy without a network that looks.
fn scripted(timing: Timing) -> Session {
    let policy = Constant {
        looks: true,
        ..Constant::new([0.01, -0.005, -0.004, 0.0, 0.01, 0.0, 1.0])
    };
    Session::new(
        mock::arm(),
        mock::control_config(),
        Shared::new(MockBoard::new()).rig(),
        Box::new(policy),
        timing,
    )
    .expect("a mock that works")
}

/// The shipped policy whose actions a flow makes, from two cameras.
fn flow(timing: Timing) -> Session {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let package = Package::open(&root.join("models/wink-so101")).expect("the shipped package");
    let policy = OnnxPolicy::load(&package, None).expect("the shipped package");
    let arm = ArmDescription::from_toml(include_str!("../../boards/arms/so101.toml"))
        .expect("the shipped arm");
    let mut board = MockBoard::of(&arm);
    board.step_us = 8_333;
    let board = Shared::new(board);
    let camera = |name: &str| NamedCamera {
        name: name.to_owned().into(),
        camera: Box::new(board.clone()),
    };
    let manifest = policy.manifest().clone();
    let cameras = manifest.observations.cameras.iter();
    let rig = Rig {
        cameras: cameras.map(|spec| camera(&spec.name)).collect(),
        ..board.rig()
    };
    Session::new(arm, mock::control_config(), rig, Box::new(policy), timing)
        .expect("the shipped policy fits the shipped arm")
}
