//! What the control loop costs besides the policy: inverse kinematics, an action, and a whole tick
//! with the wire.

#[path = "../tests/mock/mod.rs"]
mod mock;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mock::{Constant, MockBoard};
use nalgebra::{Isometry3, UnitQuaternion, Vector3};
use wink_runtime::control::InverseKinematics;
use wink_runtime::rig::Shared;
use wink_runtime::session::{Session, Timing};

/// Gripper down at a point of the base.
fn down_at(point: Vector3<f64>) -> Isometry3<f64> {
    let down = UnitQuaternion::from_axis_angle(&Vector3::y_axis(), std::f64::consts::FRAC_PI_2);
    Isometry3::from_parts(point.into(), down)
}

/// The way of a demonstration: to the cube, up, to a card, in steps like the expert's.
fn path(card: Vector3<f64>) -> Vec<Isometry3<f64>> {
    let corners = [
        Vector3::new(0.29975, 0.0, 0.202_075),
        Vector3::new(0.27, 0.0, -0.085),
        Vector3::new(0.27, 0.0, -0.04),
        card,
    ];
    let lines = corners.windows(2).zip([50, 20, 50]);
    lines
        .flat_map(|(ends, steps)| {
            let (from, to) = (ends[0], ends[1]);
            (1..=steps).map(move |step| down_at(from.lerp(&to, f64::from(step) / f64::from(steps))))
        })
        .collect()
}

fn benches(criterion: &mut Criterion) {
    let arm = mock::arm();
    let ik = InverseKinematics::new(&arm);

    for (name, card) in [
        ("within reach", Vector3::new(0.45, 0.0, -0.05)),
        ("tilting", Vector3::new(0.47, 0.22, -0.05)),
    ] {
        let path = path(card);
        let mut iterations = 0;
        let mut angles = arm.home();
        for target in &path {
            let solution = ik.solve(target, &angles);
            angles = solution.angles;
            iterations += solution.iterations;
        }
        eprintln!(
            "{name}: {:.2} iterations a step",
            iterations as f64 / path.len() as f64
        );
        let mut angles = arm.home();
        let mut targets = path.iter().cycle();
        criterion.bench_function(&format!("ik, warm, {name}"), |bencher| {
            bencher.iter(|| {
                if let Some(target) = targets.next() {
                    angles = ik.solve(target, &angles).angles;
                }
                angles
            });
        });
    }
    let target = down_at(Vector3::new(0.4, 0.15, -0.05));
    criterion.bench_function("ik, cold", |bencher| {
        bencher.iter(|| ik.solve(&target, &arm.home()))
    });
    criterion.bench_function("forward kinematics and Jacobian", |bencher| {
        bencher.iter(|| arm.forward_and_jacobian(&arm.home()))
    });

    criterion.bench_function("20 ticks with the firmware core", |bencher| {
        let begun = || {
            let policy = Constant::new([0.05, -0.02, -0.05, 0.0, 0.0, 0.0, 1.0]);
            let mut session = Session::new(
                mock::arm(),
                mock::control_config(),
                Shared::new(MockBoard::new()).rig(),
                Box::new(policy),
                Timing::instant(),
            )
            .expect("the mock policy fits the arm");
            session.connect().expect("the mock board answers");
            session
                .begin("pick the block")
                .expect("the mock board is armed");
            session
        };
        bencher.iter_batched_ref(
            begun,
            |session| {
                for _ in 0..20 {
                    session.tick().expect("the mock board works");
                }
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(control, benches);
criterion_main!(control);
