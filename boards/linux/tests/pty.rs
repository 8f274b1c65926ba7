//! A whole Linux board, with simulated servos at the far end of a pseudo-terminal instead of an adapter.
//!
//! Everything here runs in real time on a machine that may be busy: timeouts are generous, and what is asserted are
//! positions, not times.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serialport::{SerialPort, TTYPort};
use wink_board_linux::{BoardError, BoardFile, LinuxBoard, SerialBus, SerialLine};
use wink_runtime::arm::{ArmClient, ArmDescription, ArmFile, ArmServos};
use wink_runtime::clock::Clock;
use wink_sim::bus::{ServoBus, ServoFaults};
use wink_sim::servos::Servos;

const SUBSTEP: Duration = Duration::from_millis(10);

/// Simulated servos behind a pseudo-terminal, with joints that move in real time.
struct FarEnd {
    joints: Arc<Mutex<Servos>>,
    faults: Sender<(u8, ServoFaults)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FarEnd {
    fn start(mut port: TTYPort, mut bus: ServoBus) -> Self {
        let joints = Arc::new(Mutex::new(Servos::new(
            &ArmDescription::wx250s(),
            SUBSTEP.as_secs_f64(),
        )));
        bus.exchange(&mut joints.lock().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let (faults, told): (_, Receiver<(u8, ServoFaults)>) = channel();
        port.set_timeout(Duration::from_millis(1)).unwrap();
        let thread = std::thread::spawn({
            let (joints, stop) = (Arc::clone(&joints), Arc::clone(&stop));
            move || {
                let start = Instant::now();
                let mut due = Duration::ZERO;
                let (mut heard, mut said) = ([0; 256], vec![]);
                while !stop.load(Ordering::Relaxed) {
                    for (id, faults) in told.try_iter() {
                        *bus.faults_mut(id).unwrap() = faults;
                    }
                    let now_us = || start.elapsed().as_micros() as u64;
                    if let Ok(count) = port.read(&mut heard) {
                        bus.receive(now_us(), &heard[..count]);
                    }
                    bus.send(now_us(), &mut said);
                    if port.write_all(&said).is_err() {
                        return;
                    }
                    said.clear();
                    while start.elapsed() >= due {
                        let mut joints = joints.lock().unwrap();
                        bus.exchange(&mut joints);
                        let steps = joints.drive();
                        joints.advance(&steps);
                        due += SUBSTEP;
                    }
                }
            }
        });
        Self {
            joints,
            faults,
            stop,
            thread: Some(thread),
        }
    }

    fn position(&self, joint: usize) -> f64 {
        self.joints.lock().unwrap().position(joint)
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn board_bus() -> SerialBus {
    SerialBus {
        port: "pty".to_owned(),
        baud: 1_000_000,
        echo: false,
        answer_timeout_us: 1_000_000,
    }
}

fn wx250s(model: &str) -> ArmFile {
    let text = include_str!("../../arms/wx250s.toml");
    if model == "dynamixel" {
        return ArmFile::from_toml(text).unwrap();
    }
    // The same arm on seven Feetech servos, one a joint.
    let text = text
        .replace("\"dynamixel_xm430_w350\"", "\"feetech_sts3215\"")
        .replace("\"dynamixel_xl430_w250\"", "\"feetech_sts3215\"")
        .replace("[2, 3]", "[2]")
        .replace("[4, 5]", "[4]");
    ArmFile::from_toml(&text).unwrap()
}

fn start(arm: &ArmFile) -> (FarEnd, Result<LinuxBoard, BoardError>) {
    let (far, near) = TTYPort::pair().unwrap();
    let far_end = FarEnd::start(far, ServoBus::for_arm(arm).unwrap());
    let Some(ArmServos::Bus { servos, settings }) = &arm.servos else {
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
    let description = ArmDescription::try_from(arm).unwrap();
    let mut client = ArmClient::new(&description);
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
            .send_setpoint(&mut board, now_us, 200_000, &targets)
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
    let Some(ArmServos::Bus { servos, settings }) = &arm.servos else {
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
    let no_servos = ArmFile {
        servos: None,
        ..arm.clone()
    };
    for (arm, board, expected) in [
        (
            &arm,
            &bare,
            "the arm \"wx250s\" hangs on a serial bus, and the board \"x\" has no [serial]",
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
