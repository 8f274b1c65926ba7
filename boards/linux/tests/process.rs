//! The board as a process of its own: simulated servos behind one pseudo-terminal, a host at the other, and in between
//! the program that users start. Then it is killed, and so is the host.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod far_end;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use far_end::{FarEnd, wx250s};
use serialport::{SerialPort, TTYPort};
use tempfile::TempDir;
use wink_firmware::wire::State;
use wink_runtime::arm::{ArmClient, Link, LinkError, Target};
use wink_runtime::clock::{Clock, MonotonicClock};
use wink_sim::bus::ServoBus;

/// Longest wait for anything.
const PATIENCE_US: u64 = 60_000_000;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wink-board"));
    command.args(["--boards", concat!(env!("CARGO_MANIFEST_DIR"), "/..")]);
    // No calibration of this machine's arms.
    command.env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// The simulated arm, and a running board.
struct Bench {
    far_end: FarEnd,
    /// The adapter's device.
    device: String,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let arm = wx250s("dynamixel");
        let (far, near) = TTYPort::pair().unwrap();
        let device = near.name().unwrap();
        let far_end = FarEnd::start(far, ServoBus::for_arm(&arm).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let board = "format = 1\nname = \"bench\"\nrate_hz = 100\n[serial]\nport = \"none\"\nbaud = 1000000\nanswer_timeout_us = 1000000\n";
        fs::write(folder.path().join("bench.toml"), board).unwrap();
        Self {
            far_end,
            device,
            folder,
        }
    }

    fn link(&self) -> PathBuf {
        self.folder.path().join("wire")
    }

    fn start(&self) -> Board {
        let mut child = program()
            .arg("--board")
            .arg(self.folder.path().join("bench.toml"))
            .args(["--arm", "wx250s", "--device", &self.device])
            .arg("--link")
            .arg(self.link())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut told)
            .unwrap();
        assert!(
            told.starts_with("wx250s on bench: every servo answers. The wire is at "),
            "{told}"
        );
        Board(child)
    }
}

/// Killed when the test is over, however it ends.
struct Board(Child);

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A host with its port.
struct Host {
    port: Box<dyn SerialPort>,
    clock: MonotonicClock,
}

impl Host {
    fn open(link: &Path) -> Self {
        let port = serialport::new(link.to_str().unwrap(), 1_000_000)
            .timeout(Duration::from_millis(1))
            .open()
            .unwrap();
        Self {
            port,
            clock: MonotonicClock::new(),
        }
    }
}

impl Link for Host {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        Ok(self.port.write_all(bytes)?)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        match self.port.read(buffer) {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(0),
            other => Ok(other?),
        }
    }
}

impl Clock for Host {
    fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.clock.sleep_until(time_us);
    }
}

/// Turns the waist towards `target`, no faster than the board follows, until `done`.
fn drive(client: &mut ArmClient, host: &mut Host, target: f64, done: impl Fn(&ArmClient) -> bool) {
    /// In 50 ms.
    const STEP_RAD: f64 = 0.02;
    let mut targets = client.positions().unwrap();
    let end_us = host.now_us() + PATIENCE_US;
    while !done(client) {
        let now_us = host.now_us();
        assert!(now_us < end_us, "still at {:?}", client.positions());
        targets[0] += (target - targets[0]).clamp(-STEP_RAD, STEP_RAD);
        client
            .send_setpoint(host, now_us, 200_000, &targets, Target::New)
            .unwrap();
        host.sleep_until(now_us + 50_000);
        let now_us = host.now_us();
        client.poll(host, now_us).unwrap();
    }
}

/// Where the waist is when it has stopped.
fn at_rest(far_end: &FarEnd) -> f64 {
    let mut last = far_end.position(0);
    for _ in 0..600 {
        std::thread::sleep(Duration::from_millis(100));
        let now = far_end.position(0);
        if (now - last).abs() < 1e-5 {
            return now;
        }
        last = now;
    }
    panic!("still moving at {last}");
}

fn waist(client: &ArmClient) -> f64 {
    client.positions().unwrap()[0]
}

#[test]
fn a_host_drives_it_and_is_killed_and_so_is_the_board() {
    let bench = Bench::new();
    let board = bench.start();
    let description = wink_sim::arm();

    let mut host = Host::open(&bench.link());
    let mut client = ArmClient::new(&description);
    client.connect(&mut host, PATIENCE_US).unwrap();
    assert!(waist(&client).abs() < 3e-3);
    drive(&mut client, &mut host, 0.2, |client| {
        (waist(client) - 0.2).abs() < 4e-3
    });

    // The host is gone in the middle of a move: the board holds, and another host finds it holding.
    drive(&mut client, &mut host, 0.6, |client| waist(client) > 0.25);
    drop(host);
    std::thread::sleep(Duration::from_millis(600));
    let held = at_rest(&bench.far_end);
    assert!((0.24..=0.61).contains(&held), "{held}");
    let mut host = Host::open(&bench.link());
    let mut client = ArmClient::new(&description);
    client.greet(&mut host, PATIENCE_US).unwrap();
    assert_eq!(client.telemetry().unwrap().state, State::Holding);
    client.arm(&mut host, PATIENCE_US).unwrap();
    assert!((bench.far_end.position(0) - held).abs() < 5e-3, "no jump");

    // The board is gone in the middle of a move: the servos keep their torque and their last goals.
    drive(&mut client, &mut host, -0.2, |client| waist(client) < 0.15);
    drop(board);
    let kept = at_rest(&bench.far_end);
    assert!((-0.21..=0.15).contains(&kept), "{kept}");
    std::thread::sleep(Duration::from_millis(500));
    let later = bench.far_end.position(0);
    assert!((later - kept).abs() < 1e-3, "{kept} -> {later}");
    drop(host);

    // Started again it takes the arm over where it stands, and goes on.
    let _board = bench.start();
    let mut host = Host::open(&bench.link());
    let mut client = ArmClient::new(&description);
    client.connect(&mut host, PATIENCE_US).unwrap();
    assert!((bench.far_end.position(0) - kept).abs() < 5e-3, "no jump");
    drive(&mut client, &mut host, 0.0, |client| {
        waist(client).abs() < 4e-3
    });
}

#[test]
fn what_it_cannot_use_is_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let arm = folder.path().join("reversed.toml");
    let text = include_str!("../../arms/so101.toml");
    fs::write(&arm, text.replacen("min_rad = -2.0", "min_rad = 4.0", 1)).unwrap();
    let board = folder.path().join("slow.toml");
    fs::write(&board, "format = 1\nname = \"slow\"\nrate_hz = 1\n").unwrap();
    let taken = folder.path().join("notes.txt");
    fs::write(&taken, "mine").unwrap();
    let free = folder.path().join("wire");
    let [arm, board, taken, free] =
        [&arm, &board, &taken, &free].map(|path| path.to_str().unwrap());
    let run = |board: &str, arm: &str, link: &str| -> Output {
        program()
            .args(["--board", board, "--arm", arm, "--link", link])
            .args(["--device", "/dev/no-such-adapter"])
            .output()
            .unwrap()
    };
    let foreign = folder.path().join("foreign.toml");
    fs::write(&foreign, "format = 1\narm = \"wx250s\"\n").unwrap();
    let calibrated = |option: &str, value: &str| -> Output {
        program()
            .args(["--board", "x86", "--arm", "so101", "--link", free])
            .args(["--device", "/dev/no-such-adapter", option, value])
            .output()
            .unwrap()
    };
    for (output, expected) in [
        (
            calibrated("--calibration", foreign.to_str().unwrap()),
            "foreign.toml: this is a calibration of the arm \"wx250s\", not of \"so101\"",
        ),
        (
            calibrated("--id", "left"),
            "there is no calibration \"left\" of the arm so101",
        ),
        (
            run("x86", arm, free),
            "reversed.toml: line 17: \"shoulder_pan\": min_rad 4.09695 is not below max_rad 2.09695",
        ),
        (
            run(board, "so101", free),
            "slow.toml: line 3: rate_hz is 1, outside of 50 .. 2000",
        ),
        (run("x86", "so102", free), "so102.toml: No such file"),
        (
            run("x86", "so101", taken),
            "notes.txt: there already is a file",
        ),
        (
            run("x86", "so101", free),
            "/dev/no-such-adapter: No such file or directory: is the adapter plugged in?",
        ),
    ] {
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(
            told.contains(expected),
            "\"{told}\" does not say \"{expected}\""
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    assert!(!Path::new(free).exists());
}
