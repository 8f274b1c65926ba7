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
use wink_emulate::{EmulatedBoard, Emulator, Image, Images};
use wink_firmware::State;
use wink_sim::setup::{SO101, Setup, WX250S};

/// Says hello, arms, turns the arm's first joint and stops.
fn drives_the_arm(emulator: Emulator, setup: &'static Setup) {
    let mut trial = Trial::start(emulator, setup, &Images::find()).unwrap();
    assert_eq!(trial.state(), Some(State::Armed));
    let hello = trial.client.hello().unwrap();
    assert_eq!(
        (hello.arm.as_str(), hello.image.as_str()),
        (setup.name, emulator.board())
    );
    let before = trial.board.truth().joint_angles[0];
    trial.drive(1.0).unwrap();
    let turned = trial.board.truth().joint_angles[0] - before;
    assert!(
        (0.4..0.62).contains(&turned),
        "the first joint turned by {turned}"
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

fn keeps_the_fault_table(emulator: Emulator, setup: &'static Setup) {
    let images = Images::find();
    println!("{emulator}, {}\n{}", setup.name, head());
    let mut failed = vec![];
    for case in &CASES {
        let row = run(case, emulator, setup, &images).unwrap();
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
        let report = Report::of(&Image::open(&path, "boards/build.sh").unwrap()).unwrap();
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
    ($($name:ident: $emulator:ident, $setup:ident;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            #[ignore = "needs images and emulators, see .ci/firmware.sh"]
            fn drives_the_arm() {
                super::drives_the_arm(Emulator::$emulator, &$setup);
            }

            #[test]
            #[ignore = "needs images and emulators, see .ci/firmware.sh"]
            fn keeps_the_fault_table() {
                super::keeps_the_fault_table(Emulator::$emulator, &$setup);
            }
        }
    )*};
}

on! {
    nucleo_f411_wx250s: NucleoF411, WX250S;
    nucleo_f411_so101: NucleoF411, SO101;
    mps2_an386_wx250s: Mps2An386, WX250S;
    mps2_an386_so101: Mps2An386, SO101;
    pico_wx250s: Pico, WX250S;
    pico_so101: Pico, SO101;
}
