//! The images in their emulators. They need what `boards/build.sh` builds, QEMU and Node.js, and take their time:
//! `.ci/firmware.sh` runs them, or `cargo test -p wink-emulate --release -- --ignored --nocapture`.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]
#![expect(
    clippy::print_stdout,
    reason = "the figures are what a person runs these for"
)]

use wink_emulate::faults::{CASES, head, run};
use wink_emulate::report::Report;
use wink_emulate::trial::Trial;
use wink_emulate::{Arm, EmulatedBoard, Emulator, Image, Images};
use wink_firmware::State;
use wink_runtime::arm::ArmClient;
use wink_runtime::clock::Clock;
use wink_sim::{Scene, SimOptions, Split};

/// Says hello, arms, turns the waist and stops.
fn drives_the_tables_arm(emulator: Emulator) {
    let mut trial = Trial::start(emulator, &Images::find()).unwrap();
    assert_eq!(trial.state(), Some(State::Armed));
    let hello = trial.client.hello().unwrap();
    assert_eq!(
        (hello.arm.as_str(), hello.image.as_str()),
        ("wx250s", emulator.board())
    );
    let before = trial.board.truth().joint_angles[0];
    trial.drive(1.0).unwrap();
    let turned = trial.board.truth().joint_angles[0] - before;
    assert!(
        (0.4..0.62).contains(&turned),
        "the waist turned by {turned}"
    );
    trial.be_silent(0.5);
    assert!(
        trial.at_rest() && trial.state() == Some(State::Holding),
        "{}",
        trial.state_words()
    );
    assert!(trial.board.witness().kept_limits() && trial.board.witness().kept_speed());
    let counters = trial.board.telemetry().unwrap().counters;
    assert_eq!(
        (
            counters.servo_reads_failed,
            counters.servo_writes_failed,
            counters.bad_lines
        ),
        (0, 0, 0)
    );
    report(emulator, &mut trial.board);
}

/// An SO-101 has another protocol and other joints; its servos are not connected to the physics.
fn drives_an_so101(emulator: Emulator) {
    let scene = Scene::new(Split::Val, 0);
    let mut board = EmulatedBoard::new(
        emulator,
        &Images::find(),
        Arm::So101,
        &scene,
        SimOptions::default(),
    )
    .unwrap();
    let mut client = ArmClient::new(&Arm::So101.file().unwrap());
    client.connect(&mut board, 3_000_000).unwrap();
    assert_eq!(client.hello().unwrap().arm.as_str(), "so101");
    assert!(board.bus().servos().iter().all(|servo| servo.has_torque()));
    for _ in 0..10 {
        let now_us = board.now_us();
        client.poll(&mut board, now_us).unwrap();
        let positions = client
            .measured()
            .unwrap()
            .iter()
            .map(|position| f64::from(*position));
        let positions: Vec<f64> = positions.collect();
        client
            .send_setpoint(&mut board, now_us, 100_000, &positions)
            .unwrap();
        board.sleep_until(now_us + 50_000);
    }
    assert_eq!(board.state(), Some(State::Armed));
    let counters = board.telemetry().unwrap().counters;
    assert!(
        counters.accepted >= 8 && counters.rejected() == 0,
        "{counters:?}"
    );
    assert_eq!(
        (counters.servo_reads_failed, counters.servo_writes_failed),
        (0, 0)
    );
    report(emulator, &mut board);
}

/// What the board says of its loop.
fn report(emulator: Emulator, board: &mut EmulatedBoard) {
    let meter = board.variable("WINK_METER").unwrap();
    let [ticks, worst_us, worst_busy_us, ..] = meter[..] else {
        panic!("{meter:?}");
    };
    let packets = board.bus().counters();
    println!(
        "{emulator}: {ticks} ticks, the longest {worst_us} us, {worst_busy_us} us without waiting for the bus; {packets:?}"
    );
    assert!(ticks > 100);
}

fn keeps_the_fault_table(emulator: Emulator) {
    let images = Images::find();
    println!("{emulator}\n{}", head());
    let mut failed = vec![];
    for case in &CASES {
        let row = run(case, emulator, &images).unwrap();
        println!("{row}");
        failed.extend(row.failed.into_iter().map(|failed| (row.fault, failed)));
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Of every board for both arms.
#[test]
#[ignore = "needs images and emulators, see .ci/firmware.sh"]
fn images_keep_their_limits_and_cannot_panic() {
    let paths = Images::find().all().unwrap();
    assert!(paths.len() >= 8, "{paths:?}");
    let mut complaints = vec![];
    for path in paths {
        let report = Report::of(&Image::open(&path, "").unwrap()).unwrap();
        println!("{report}");
        complaints.extend(
            report
                .complaints()
                .into_iter()
                .map(|complaint| (path.clone(), complaint)),
        );
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

macro_rules! on {
    ($($name:ident: $emulator:ident;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            #[ignore = "needs images and emulators, see .ci/firmware.sh"]
            fn drives_the_tables_arm() {
                super::drives_the_tables_arm(Emulator::$emulator);
            }

            #[test]
            #[ignore = "needs images and emulators, see .ci/firmware.sh"]
            fn drives_an_so101() {
                super::drives_an_so101(Emulator::$emulator);
            }

            #[test]
            #[ignore = "needs images and emulators, see .ci/firmware.sh"]
            fn keeps_the_fault_table() {
                super::keeps_the_fault_table(Emulator::$emulator);
            }
        }
    )*};
}

on! {
    nucleo_f411: NucleoF411;
    mps2_an386: Mps2An386;
    pico: Pico;
}
