//! A whole Linux board, with simulated servos at the far end of a pseudo-terminal instead of an adapter.
//!
//! Everything here runs in real time on a machine that may be busy: timeouts are generous, and what is asserted are
//! positions, not times.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod far_end;

use std::time::Duration;

use far_end::{FarEnd, wx250s};
use serialport::TTYPort;
use wink_board_linux::{BoardError, BoardFile, LinuxBoard, SerialBus, SerialLine};
use wink_runtime::arm::{ArmClient, ArmDescription, ArmServos, Target};
use wink_runtime::clock::Clock;
use wink_sim::bus::{ServoBus, ServoFaults};

fn board_bus() -> SerialBus {
    SerialBus {
        port: "pty".to_owned(),
        baud: 1_000_000,
        echo: false,
        answer_timeout_us: 1_000_000,
    }
}

fn start(arm: &ArmDescription) -> (FarEnd, Result<LinuxBoard, BoardError>) {
    let (far, near) = TTYPort::pair().unwrap();
    let far_end = FarEnd::start(far, ServoBus::for_arm(arm).unwrap());
    let Some(ArmServos::Bus { servos, settings }) = arm.servos() else {
        panic!("no bus");
    };
    let line = SerialLine::from_port(Box::new(near));
    let board = LinuxBoard::on_line(arm, line, &board_bus(), 100, servos, settings);
    (far_end, board)
}

fn drives_the_arm(model: &str) {
    let arm = wx250s(model);
    let (far_end, board) = start(&arm);
    let mut board = board.unwrap();
    let mut client = ArmClient::new(&arm);
    client.connect(&mut board, 60_000_000).unwrap();
    let home = client.positions().unwrap();
    assert!(
        (home[4] - std::f64::consts::FRAC_PI_2).abs() < 2e-3,
        "{home:?}"
    );
    let mut targets = home;
    targets[0] += 0.2;
    targets[3] -= 0.1;
    let end_us = board.now_us() + 60_000_000;
    while (far_end.position(0) - targets[0]).abs() > 3e-3
        || (far_end.position(3) - targets[3]).abs() > 3e-3
    {
        assert!(board.now_us() < end_us, "still at {}", far_end.position(0));
        let now_us = board.now_us();
        client.poll(&mut board, now_us).unwrap();
        // Starved in between, the arm holds and goes on with the next setpoint.
        client
            .send_setpoint(&mut board, now_us, 200_000, &targets, Target::New)
            .unwrap();
        board.sleep_until(now_us + 50_000);
    }
    drop(board);
    // The board gone, the servos hold what they hold.
    std::thread::sleep(Duration::from_millis(50));
    assert!((far_end.position(0) - targets[0]).abs() < 5e-3);
}

#[test]
fn drives_dynamixel_servos() {
    drives_the_arm("dynamixel");
}

#[test]
fn drives_feetech_servos() {
    drives_the_arm("feetech");
}

#[test]
fn a_servo_that_is_not_there_is_named() {
    let arm = wx250s("feetech");
    let (far, near) = TTYPort::pair().unwrap();
    let far_end = FarEnd::start(far, ServoBus::for_arm(&arm).unwrap());
    let unplugged = ServoFaults {
        unplugged: true,
        ..ServoFaults::default()
    };
    far_end.faults.send((6, unplugged)).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let Some(ArmServos::Bus { servos, settings }) = arm.servos() else {
        panic!("no bus");
    };
    let line = SerialLine::from_port(Box::new(near));
    let bus = SerialBus {
        answer_timeout_us: 300_000,
        ..board_bus()
    };
    let error = LinuxBoard::on_line(&arm, line, &bus, 100, servos, settings)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("pty: servo 6 does not answer"), "{error}");
}

#[test]
fn files_that_do_not_fit_each_other_are_refused() {
    let arm = wx250s("dynamixel");
    let board = |text: &str| BoardFile::from_toml(text).unwrap();
    let bare = board("format = 1\nname = \"x\"\nrate_hz = 100\n");
    let with_serial = board(
        "format = 1\nname = \"x\"\nrate_hz = 100\n[serial]\nport = \"/dev/no-such\"\nbaud = 1000000\nanswer_timeout_us = 4000\n",
    );
    let text = include_str!("../../arms/wx250s.toml");
    let (bare_arm, _) = text.split_once("[servos]").unwrap();
    let bare_arm: Vec<&str> = bare_arm
        .lines()
        .filter(|line| !line.starts_with("servo = "))
        .collect();
    let no_servos = ArmDescription::from_toml(&bare_arm.join("\n")).unwrap();
    for (arm, board, expected) in [
        (
            &arm,
            &bare,
            "the arm \"wx250s\" needs a serial bus, and the board \"x\" has no [serial]",
        ),
        (&no_servos, &with_serial, "its file has no [servos]"),
        (&arm, &with_serial, "/dev/no-such: "),
    ] {
        let error = LinuxBoard::start(arm, board).err().unwrap().to_string();
        assert!(
            error.contains(expected),
            "\"{error}\" does not say \"{expected}\""
        );
    }
}
