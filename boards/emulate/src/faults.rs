//! Everything that is done to an emulated board to see whether it can be trusted, and what it must do.
//!
//! Whatever happens, a joint never leaves its limits, and its goal never moves faster than it may. What else is expected
//! stands with each case.

use wink_firmware::wire::{Counters, Fault, HoldReason, State};
use wink_sim::Setup;
use wink_sim::bus::{LineNoise, ServoFaults};

pub use crate::row::{Row, head};
use crate::trial::{Trial, TrialError};
use crate::{Emulator, Faults, Images, LinkNoise};

type Case = (&'static str, fn(&mut Trial) -> Result<String, TrialError>);

/// All cases, each on a board of its own.
pub const CASES: [Case; 15] = [
    ("host killed mid-motion", host_killed),
    ("1% of bytes damaged, host link", |trial| {
        link_noise(trial, 0.01)
    }),
    ("10% of bytes damaged, host link", |trial| {
        link_noise(trial, 0.1)
    }),
    ("1% of bytes damaged, servo bus", |trial| {
        bus_noise(trial, 0.01)
    }),
    ("10% of bytes damaged, servo bus", |trial| {
        bus_noise(trial, 0.1)
    }),
    ("a servo stops answering", |trial| {
        servo_fails(
            trial,
            ServoFaults {
                mute: true,
                ..ServoFaults::default()
            },
        )
    }),
    ("a servo is unplugged", |trial| {
        servo_fails(
            trial,
            ServoFaults {
                unplugged: true,
                ..ServoFaults::default()
            },
        )
    }),
    ("a servo answers 20 ms late", servo_is_late),
    ("a servo answers as another", |trial| {
        servo_fails(
            trial,
            ServoFaults {
                answers_as: Some(7),
                ..ServoFaults::default()
            },
        )
    }),
    ("a servo overheats", servo_overheats),
    ("brown-out of the board", |trial| brown_out(trial, false)),
    ("brown-out of board and servos", |trial| {
        brown_out(trial, true)
    }),
    ("the board's program hangs", program_hangs),
    ("setpoints NaN, 1e9, out of range", impossible_setpoints),
    (
        "setpoints old, repeated, from the future",
        untimely_setpoints,
    ),
];

/// The servo that things happen to: on the WidowX one of the elbow's two, on the SO-101 the one of the wrist's flexion.
const VICTIM: u8 = 4;

/// Does one thing to a board that drives a cell's arm.
///
/// # Errors
/// When the emulator fails, or the board cannot even be armed.
pub fn run(
    case: &Case,
    emulator: Emulator,
    setup: &'static Setup,
    images: &Images,
) -> Result<Row, TrialError> {
    let (fault, act) = *case;
    let mut trial = Trial::start(emulator, setup, images)?;
    trial.drive(0.5)?;
    let meanwhile = act(&mut trial);
    let meanwhile = match (meanwhile, trial.board.take_failure()) {
        (_, Some(failure)) => return Err(failure.into()),
        (Err(error), None) => {
            trial.expect(&format!("the board should recover ({error})"), false);
            "-".to_owned()
        }
        (Ok(meanwhile), None) => meanwhile,
    };
    let witness = trial.board.witness().clone();
    trial.expect("no joint may leave its limits", witness.kept_limits());
    trial.expect("no goal may be faster than its joint", witness.kept_speed());
    trial.expect("the witness must have looked", witness.looks() > 50);
    Ok(Row {
        fault,
        meanwhile,
        afterwards: trial.state_words(),
        overstep_rad: witness.overstep_rad(),
        fastest_share: witness.fastest_share(),
        failed: trial.failed().to_vec(),
    })
}

fn host_killed(trial: &mut Trial) -> Result<String, TrialError> {
    trial.be_silent(1.0);
    let meanwhile = trial.state_words();
    let held = reason(trial) == Some((State::Holding, HoldReason::Starved));
    trial.expect("without setpoints the arm should hold", held);
    let at_rest = trial.at_rest();
    trial.expect("a holding arm should rest", at_rest);
    trial.drive(0.5)?;
    let goes_on = trial.state() == Some(State::Armed);
    trial.expect("with setpoints it should go on", goes_on);
    Ok(meanwhile)
}

fn link_noise(trial: &mut Trial, share: f64) -> Result<String, TrialError> {
    trial.board.set_link_noise(LinkNoise::new(share, share, 1));
    trial.drive(2.0)?;
    let bad_lines = counters(trial).bad_lines;
    trial.expect("damaged lines should be counted", bad_lines > 0);
    let (accepted, sent) = (counters(trial).accepted, trial.client.counters().setpoints);
    trial.expect(
        "damaged setpoints must not be followed",
        u64::from(accepted) < sent,
    );
    let meanwhile = format!("{}; {accepted} of {sent} followed", trial.state_words());
    trial.board.set_link_noise(LinkNoise::none());
    trial.drive(0.5)?;
    let armed = trial.state() == Some(State::Armed);
    trial.expect("on a clean link the arm should follow again", armed);
    Ok(meanwhile)
}

fn bus_noise(trial: &mut Trial, share: f64) -> Result<String, TrialError> {
    trial.board.set_bus_noise(LineNoise::new(share, share, 1));
    trial.drive(1.0)?;
    let meanwhile = trial.state_words();
    let failed = counters(trial).servo_reads_failed + counters(trial).servo_writes_failed;
    let damaged = trial.board.bus().counters().damaged;
    trial.expect("damage should be noticed", failed > 0 || damaged > 0);
    trial.board.set_bus_noise(LineNoise::none());
    trial.be_silent(0.5);
    trial.recover()?;
    trial.drive(0.5)?;
    let armed = trial.state() == Some(State::Armed);
    trial.expect("on a clean bus the arm should follow again", armed);
    Ok(meanwhile)
}

fn servo_fails(trial: &mut Trial, faults: ServoFaults) -> Result<String, TrialError> {
    set_victim(trial, faults);
    trial.drive(0.6)?;
    let meanwhile = trial.state_words();
    let fault = trial
        .board
        .telemetry()
        .map(|telemetry| (telemetry.state, telemetry.fault));
    let stopped = matches!(fault, Some((State::Fault, Fault::ServoRead)))
        || reason(trial) == Some((State::Holding, HoldReason::Servo));
    trial.expect("without one of its servos the arm should stop", stopped);
    let at_rest = trial.at_rest();
    trial.expect("a stopped arm should rest", at_rest);
    set_victim(trial, ServoFaults::default());
    trial.be_silent(0.3);
    trial.recover()?;
    trial.drive(0.5)?;
    let armed = trial.state() == Some(State::Armed);
    trial.expect("with all of its servos the arm should follow again", armed);
    Ok(meanwhile)
}

/// A status packet does not say what it answers: one that comes late is taken for the answer to the next question, or missed.
fn servo_is_late(trial: &mut Trial) -> Result<String, TrialError> {
    /// What the arm moves in 20 ms, and a little.
    const STALE_RAD: f64 = 0.05;

    let late = ServoFaults {
        late_us: 20_000,
        ..ServoFaults::default()
    };
    set_victim(trial, late);
    trial.drive(1.0)?;
    let failed = counters(trial).servo_reads_failed;
    let state = trial.state();
    let meanwhile = format!("{}; {failed} reads failed", trial.state_words());
    let as_it_was = trial.board.telemetry().is_some_and(|telemetry| {
        let truth = trial.board.truth().joint_angles;
        let mut told = telemetry.positions.iter().zip(truth.iter());
        telemetry.positions.len() > truth.len()
            && told.all(|(told, truth)| (f64::from(*told) - truth).abs() < STALE_RAD)
    });
    trial.expect(
        "the arm should stop, or know where it is",
        state == Some(State::Fault) || as_it_was,
    );
    set_victim(trial, ServoFaults::default());
    trial.be_silent(0.3);
    trial.recover()?;
    trial.drive(0.5)?;
    let armed = trial.state() == Some(State::Armed);
    trial.expect("with prompt servos the arm should follow", armed);
    Ok(meanwhile)
}

fn servo_overheats(trial: &mut Trial) -> Result<String, TrialError> {
    set_victim(
        trial,
        ServoFaults {
            overheating: true,
            ..ServoFaults::default()
        },
    );
    trial.drive(2.0)?;
    let meanwhile = trial.state_words();
    let held = reason(trial) == Some((State::Holding, HoldReason::Temperature));
    trial.expect("a hot servo should make the arm hold", held);
    let at_rest = trial.at_rest();
    trial.expect("a holding arm should rest", at_rest);
    let refused = trial.recover().is_err();
    trial.expect("a hot arm should not be armed", refused);
    set_victim(trial, ServoFaults::default());
    // A Dynamixel that has shut itself down wants to be restarted.
    trial.board.restart_servo(VICTIM);
    trial.client.disarm(&mut trial.board)?;
    trial.be_silent(0.5);
    trial.recover()?;
    trial.drive(0.5)?;
    let armed = trial.state() == Some(State::Armed);
    trial.expect("a cool arm should follow again", armed);
    Ok(meanwhile)
}

fn brown_out(trial: &mut Trial, servos: bool) -> Result<String, TrialError> {
    trial.board.brown_out(servos)?;
    starts_anew(trial, servos)
}

/// Nobody feeds the watchdog then. In QEMU nobody can make it hang, and its STM32 has no watchdog.
fn program_hangs(trial: &mut Trial) -> Result<String, TrialError> {
    if trial.board.hang()? {
        starts_anew(trial, false)
    } else {
        trial.drive(0.5)?;
        Ok("not tried on this board".to_owned())
    }
}

/// What a board must do that was powered a moment ago, its servos with it or not.
fn starts_anew(trial: &mut Trial, servos: bool) -> Result<String, TrialError> {
    trial.be_silent(0.5);
    let meanwhile = trial.state_words();
    let disarmed = trial.state() == Some(State::Disarmed);
    trial.expect("a board that starts should be disarmed", disarmed);
    let holds = trial
        .board
        .bus()
        .servos()
        .iter()
        .all(|servo| servo.has_torque() != servos);
    trial.expect("it should leave the servos' torque alone", holds);
    let before = trial.board.truth().joint_angles;
    trial.board.witness().forget();
    trial.recover()?;
    trial.be_silent(0.1);
    let after = trial.board.truth().joint_angles;
    let jumped = before
        .iter()
        .zip(after.iter())
        .any(|(before, after)| (before - after).abs() > 0.01);
    trial.expect("arming must not move the arm", !jumped);
    trial.drive(0.5)?;
    let armed = trial.state() == Some(State::Armed);
    trial.expect("after arming the arm should follow", armed);
    Ok(meanwhile)
}

fn impossible_setpoints(trial: &mut Trial) -> Result<String, TrialError> {
    let before = counters(trial);
    let good = trial.home();
    for index in 0..20 {
        let mut positions = good.clone();
        let joint = index % positions.len();
        positions[joint] = [f32::NAN, 1e9, f32::INFINITY, -1e9, 3.5][index % 5];
        let count = if index == 19 { 3 } else { positions.len() };
        trial.send_raw(&positions[..count], 100_000, 1)?;
        trial.be_silent(0.02);
    }
    let meanwhile = trial.state_words();
    let after = counters(trial);
    let refused = after.rejected() - before.rejected();
    trial.expect(
        "all of them should be refused",
        refused == 20 && after.accepted == before.accepted,
    );
    trial.expect(
        "those without a number should be told apart",
        after.not_finite > before.not_finite,
    );
    trial.expect(
        "so should those of another arm",
        after.joint_count == before.joint_count + 1,
    );
    let held = reason(trial) == Some((State::Holding, HoldReason::Starved));
    trial.expect("refused setpoints are none", held);
    trial.recover()?;
    trial.drive(0.5)?;
    let armed = trial.state() == Some(State::Armed);
    trial.expect("the next good ones should be followed", armed);
    Ok(meanwhile)
}

fn untimely_setpoints(trial: &mut Trial) -> Result<String, TrialError> {
    let before = counters(trial);
    let good = trial.home();
    // In order: taken. Then too late, too far ahead, with a number that was before, and the same one again.
    let cases = [
        (100_000, 1),
        (-50_000, 1),
        (2_000_000, 1),
        (100_000, -5),
        (100_000, 0),
    ];
    for (ahead_us, seq_step) in cases {
        trial.send_raw(&good, ahead_us, seq_step)?;
        trial.be_silent(0.02);
    }
    let after = counters(trial);
    let counts = [
        after.accepted - before.accepted,
        after.stale - before.stale,
        after.too_far_ahead - before.too_far_ahead,
        after.repeated - before.repeated,
    ];
    trial.expect(
        "each should be counted for what it is",
        counts == [1, 1, 1, 2],
    );
    trial.be_silent(0.3);
    let meanwhile = trial.state_words();
    trial.recover()?;
    trial.drive(0.5)?;
    let armed = trial.state() == Some(State::Armed);
    trial.expect("the next good ones should be followed", armed);
    Ok(meanwhile)
}

fn set_victim(trial: &mut Trial, faults: ServoFaults) {
    if let Some(servo) = trial.board.servo(VICTIM) {
        *servo = faults;
    }
}

fn reason(trial: &Trial) -> Option<(State, HoldReason)> {
    let telemetry = trial.board.telemetry()?;
    Some((telemetry.state, telemetry.hold))
}

fn counters(trial: &Trial) -> Counters {
    trial
        .board
        .telemetry()
        .map_or_else(Counters::default, |telemetry| telemetry.counters)
}
