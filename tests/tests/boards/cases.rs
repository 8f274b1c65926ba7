//! The cases. Positions are the arm's joint angles (rad), then the gripper's travel (m).

use wink_firmware::wire::State;
use wink_runtime::arm::{ArmClient, JointValues, Target};
use wink_runtime::camera::Frame;
use wink_runtime::rig::Board;
use wink_sim::setup::Setup;

type Case = (&'static str, fn(&mut Subject));

/// A fresh board, and the cell whose arm it drives.
pub struct Subject {
    setup: &'static Setup,
    board: Box<dyn Board>,
}

impl Subject {
    /// The board of a cell.
    pub fn new(setup: &'static Setup, board: Box<dyn Board>) -> Self {
        Self { setup, board }
    }

    fn connected(&mut self) -> (ArmClient, JointValues) {
        let mut client = ArmClient::new(&self.setup.arm());
        client
            .connect(&mut *self.board, CONNECT_TIMEOUT_US)
            .expect("a board that is there connects");
        let start = client.positions().expect("a connected board was measured");
        (client, start)
    }

    /// Sends the same setpoint for some ticks, then returns where the arm is.
    fn drive(&mut self, client: &mut ArmClient, target: &[f64], ticks: u32) -> JointValues {
        for _ in 0..ticks {
            let now_us = self.board.now_us();
            client
                .send_setpoint(&mut *self.board, now_us, AHEAD_US, target, Target::New)
                .expect("the link stands");
            self.wait(client, TICK_US);
        }
        client.positions().expect("measured")
    }

    fn wait(&mut self, client: &mut ArmClient, time_us: u64) {
        self.board.sleep_until(self.board.now_us() + time_us);
        let now_us = self.board.now_us();
        client
            .poll(&mut *self.board, now_us)
            .expect("the link stands");
    }
}

/// Every case by name.
pub const CASES: &[Case] = &[
    ("arming_moves_nothing", arming_moves_nothing),
    ("setpoints_are_followed", setpoints_are_followed),
    ("silence_holds", silence_holds),
    ("garbage_is_survived", garbage_is_survived),
    (
        "setpoints_beyond_the_limits_are_refused",
        setpoints_beyond_the_limits_are_refused,
    ),
    (
        "a_far_setpoint_is_approached_within_the_velocity_limit",
        a_far_setpoint_is_approached_within_the_velocity_limit,
    ),
    (
        "frames_are_whole_and_repeatable",
        frames_are_whole_and_repeatable,
    ),
];

const TICK_US: u64 = 50_000;
/// From sending a setpoint to its deadline: two ticks, so that a board in real time is not late on a busy machine.
const AHEAD_US: u64 = 2 * TICK_US;
const CONNECT_TIMEOUT_US: u64 = 1_000_000;
/// Encoder steps and what a pose may sag or settle.
const STILL_RAD: f64 = 0.01;

/// Of the joints without the gripper.
fn furthest_rad(a: &[f64], b: &[f64]) -> f64 {
    a.iter()
        .zip(b)
        .take(a.len() - 1)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

fn arming_moves_nothing(subject: &mut Subject) {
    let (mut client, start) = subject.connected();
    subject.wait(&mut client, 500_000);
    let after = client.positions().expect("measured");
    assert!(
        furthest_rad(&start, &after) < STILL_RAD,
        "{start:?} became {after:?}"
    );
}

fn setpoints_are_followed(subject: &mut Subject) {
    let (mut client, start) = subject.connected();
    let mut target = start;
    target[0] += 0.2;
    target[2] -= 0.1;
    let after = subject.drive(&mut client, &target, 40);
    assert!(
        furthest_rad(&target, &after) < STILL_RAD,
        "asked for {target:?}, is at {after:?}"
    );
}

fn silence_holds(subject: &mut Subject) {
    let (mut client, start) = subject.connected();
    let mut target = start;
    target[0] += 0.5;
    subject.drive(&mut client, &target, 4);
    subject.wait(&mut client, 1_000_000);
    let telemetry = client.telemetry().expect("telemetry goes on");
    assert_eq!(telemetry.state, State::Holding, "setpoints stopped coming");
    let held = client.positions().expect("measured");
    subject.wait(&mut client, 1_000_000);
    let later = client.positions().expect("measured");
    assert!(
        furthest_rad(&held, &later) < STILL_RAD,
        "held at {held:?}, drifted to {later:?}"
    );
}

fn garbage_is_survived(subject: &mut Subject) {
    let (mut client, start) = subject.connected();
    let mut target = start;
    target[0] -= 0.2;
    for round in 0_u8..40 {
        let garbage = [
            round.wrapping_mul(37),
            b'{',
            0xff,
            b'"',
            0,
            b'\n',
            b'}',
            round,
        ];
        subject.board.write(&garbage).expect("the link stands");
        subject.board.write(b"\n").expect("the link stands");
        subject.drive(&mut client, &target, 1);
    }
    let after = client.positions().expect("measured");
    assert!(
        furthest_rad(&target, &after) < STILL_RAD,
        "asked for {target:?}, is at {after:?}"
    );
    let counters = client.telemetry().expect("telemetry").counters;
    assert!(counters.bad_lines >= 40, "garbage is counted: {counters:?}");
}

fn setpoints_beyond_the_limits_are_refused(subject: &mut Subject) {
    let (mut client, start) = subject.connected();
    for wild in [1e9, -1e9, 3e38] {
        let mut target = start;
        target[1] = wild;
        subject.drive(&mut client, &target, 2);
    }
    let telemetry = client.telemetry().expect("telemetry").clone();
    assert_eq!(telemetry.counters.accepted, 0);
    assert_eq!(
        telemetry.counters.out_of_range, 6,
        "{:?}",
        telemetry.counters
    );
    let after = client.positions().expect("measured");
    assert!(
        furthest_rad(&start, &after) < STILL_RAD,
        "{start:?} became {after:?}"
    );
}

fn a_far_setpoint_is_approached_within_the_velocity_limit(subject: &mut Subject) {
    let (mut client, start) = subject.connected();
    let arm = subject.setup.arm();
    // The first target is near: a far one would be approached slowly.
    subject.drive(&mut client, &start, 1);
    let mut target = start;
    target[0] += 0.8 * (arm.joints()[0].max_rad - target[0]);
    let time_us = |client: &ArmClient| client.telemetry().expect("telemetry").time_us;
    let (mut before, mut before_us) = (start, time_us(&client));
    for _ in 0..40 {
        let after = subject.drive(&mut client, &target, 1);
        let after_us = time_us(&client);
        for (index, joint) in arm.joints().iter().enumerate() {
            let moved_rad = (after[index] - before[index]).abs();
            let passed_s = (after_us - before_us) as f64 * 1e-6;
            let most_rad = joint.velocity_rad_s * passed_s * 1.2 + STILL_RAD;
            assert!(
                moved_rad <= most_rad,
                "{} moved {moved_rad} rad in {passed_s} s",
                joint.name
            );
        }
        (before, before_us) = (after, after_us);
    }
    assert!(
        furthest_rad(&target, &before) < STILL_RAD,
        "and gets there: {before:?}"
    );
}

fn frames_are_whole_and_repeatable(subject: &mut Subject) {
    let (mut first, mut second) = (Frame::default(), Frame::default());
    subject.board.capture(&mut first).expect("a frame");
    subject.board.capture(&mut second).expect("a frame");
    assert_eq!(
        first.rgb.len(),
        first.width as usize * first.height as usize * 3
    );
    assert!(
        first.rgb.iter().any(|&value| value != first.rgb[0]),
        "the picture shows something"
    );
    assert_eq!(first.rgb, second.rgb, "nothing moved between the two");
}
