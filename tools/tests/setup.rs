//! `wink setup` and `wink arm` at a kit that is simulated behind a pseudo-terminal, handled by a script.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::text;
use serde_json::Value;
use tempfile::TempDir;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What every program of a script is told.
const AT_KIT: &str = "--arm so101 --port {link}";

/// A kit's folder: its adapter, and what programs keep of it.
struct Table(TempDir);

impl Table {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("devices")).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// What was printed while a script ran to its end at a kit that was started with these arguments.
    fn kit(&self, args: &[&str], script: &str) -> String {
        let file = self.path().join("script.txt");
        fs::write(&file, script.replace("AT_KIT", AT_KIT)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_wink"))
            .current_dir(REPOSITORY)
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .arg("kit")
            .arg("--link")
            .arg(self.path().join("devices/adapter"))
            .arg("--script")
            .arg(&file)
            .args(args)
            .output()
            .unwrap();
        let told = text(&output.stdout);
        assert!(output.status.success(), "{told}\n{}", text(&output.stderr));
        told
    }

    /// The same at an SO-101's kit, as out of the box or built up.
    fn ok(&self, fresh: bool, script: &str) -> String {
        self.kit(if fresh { &["--fresh"] } else { &[] }, script)
    }

    fn calibration(&self) -> String {
        let path = self
            .path()
            .join("config/wink/calibration/so101/default.toml");
        fs::read_to_string(path).unwrap()
    }
}

/// The last of a script's looks at the kit.
fn shown(told: &str) -> Value {
    let line = told
        .lines()
        .rfind(|line| line.starts_with("{\"joints\""))
        .unwrap();
    serde_json::from_str(line).unwrap()
}

fn joint(shown: &Value, name: &str) -> Value {
    let joints = shown["joints"].as_array().unwrap();
    joints
        .iter()
        .find(|joint| joint["name"] == name)
        .unwrap()
        .clone()
}

const MIDDLE: &str = "hand shoulder_pan 0\nhand shoulder_lift 0\nhand elbow_flex 0\nhand wrist_flex 0\nhand wrist_roll 0\nhand gripper -0.02\nsettle\n";

/// Calibrates by hand; `sweeps` moves the joints.
fn calibration(sweeps: &str) -> String {
    format!(
        "run setup calibrate AT_KIT\nexpect Hold the arm\nanswer\nexpect Put every joint\n{MIDDLE}answer\nexpect Move every joint\n{sweeps}\nsettle\nanswer\n"
    )
}

/// The SO-101's joints, in the order of their servos' ids.
const JOINTS: [&str; 6] = [
    "shoulder_pan",
    "shoulder_lift",
    "elbow_flex",
    "wrist_flex",
    "wrist_roll",
    "gripper",
];

fn calibrated() -> String {
    format!(
        "{}expect the calibration is saved in\nends\n",
        calibration("sweep all")
    )
}

#[test]
fn the_first_hour_from_fresh_ids_to_a_rest_pose() {
    let table = Table::new();
    let told = table.ok(true, include_str!("scripts/first-hour.txt"));
    let shown = shown(&told);
    for (id, name) in JOINTS.into_iter().enumerate() {
        let joint = joint(&shown, name);
        assert_eq!(joint["id"], id as u64 + 1, "{joint}");
        assert_eq!(joint["torque"], false, "{joint}");
        assert!(told.contains(&format!("{name:<14} moved")), "{told}");
    }
    let kept =
        fs::read_to_string(table.path().join("config/wink/setup/so101/default.toml")).unwrap();
    assert!(kept.contains("devices/adapter"), "{kept}");
    let lift: f64 = kept
        .lines()
        .find_map(|line| line.strip_prefix("shoulder_lift = "))
        .unwrap()
        .parse()
        .unwrap();
    assert!((lift + 1.7).abs() < 0.005, "{kept}");
    table.calibration();
}

/// The first hour's script for the same arm with the servos of a Koch, which come out of their box at 57600 baud.
#[test]
fn the_first_hour_of_an_arm_of_dynamixels() {
    let table = Table::new();
    let arm = fs::read_to_string(Path::new(REPOSITORY).join("boards/arms/so101.toml")).unwrap();
    let (joints, _) = arm.split_once("\n[servos]").unwrap();
    let joints = joints.replace(
        "servo = { lever_m = 0.0747, max_torque = 0.5, protection_current_a = 1.625, overload_torque = 0.25 }",
        "servo = { lever_m = 0.0747 }",
    );
    let file = table.path().join("koch.toml");
    fs::write(
        &file,
        format!("{joints}\n[servos]\nmodel = \"dynamixel_xl330_m288\"\n"),
    )
    .unwrap();
    let arm = format!("--arm {}", file.display());
    let script = include_str!("scripts/first-hour.txt").replace("--arm so101", &arm);
    let told = table.kit(
        &["--fresh", "--arm", &file.display().to_string()],
        &format!("supply 5\n{script}"),
    );
    let shown = shown(&told);
    for (id, name) in JOINTS.into_iter().enumerate() {
        let joint = joint(&shown, name);
        assert_eq!(joint["id"], id as u64 + 1, "{joint}");
        assert_eq!(joint["torque"], false, "{joint}");
        assert!(told.contains(&format!("{name:<14} moved")), "{told}");
    }
}

#[test]
fn ids_are_given_to_the_one_servo_that_is_new_and_to_no_other() {
    let told = Table::new().ok(
        false,
        "id gripper 1\nrun setup ids AT_KIT\nexpect Disconnect every servo\nanswer\nexpect Servos still answer\nunplug all\nanswer\n\
         expect Connect the servo of gripper\nanswer\nexpect No new servo answers\nplug gripper\nplug wrist_flex\nanswer\n\
         expect Several new servos answer, with the ids [1, 4]\nplug shoulder_pan\nunplug wrist_flex\nanswer\n\
         expect Several servos answer to the id 1\nunplug shoulder_pan\nanswer\nexpect gripper: id 1 became 6\n\
         expect Connect the servo of wrist_roll\nends 2\nshow\n",
    );
    let shown = shown(&told);
    for (name, id) in [("gripper", 6), ("wrist_flex", 4), ("shoulder_pan", 1)] {
        assert_eq!(joint(&shown, name)["id"], id, "{told}");
    }
}

#[test]
fn the_seam_is_moved_out_of_every_joints_way() {
    let table = Table::new();
    let told = table.ok(
        false,
        &format!(
            "mount shoulder_pan 3500\nmount shoulder_lift 300\nmount gripper 3114\n{}run arm jog --board adapter AT_KIT --joint shoulder_pan --by 1.9\nends\nrun arm jog --board adapter AT_KIT --joint shoulder_lift --by -1.7\nends\nshow\n",
            calibrated()
        ),
    );
    let shown = shown(&told);
    for (name, position) in [("shoulder_pan", 1.9), ("shoulder_lift", -1.7)] {
        let joint = joint(&shown, name);
        let at = joint["position"].as_f64().unwrap();
        assert!((at - position).abs() < 0.02, "{joint}");
        assert_ne!(joint["homing_offset"], 0);
    }
}

#[test]
fn a_servo_that_counts_turns_is_named_and_set_back() {
    let told = Table::new().ok(
        false,
        &format!(
            "register shoulder_pan 18 28\nhand shoulder_pan 1.5\nsettle\nrun setup check AT_KIT\nexpect servo 1 (shoulder_pan) counts whole turns\nends 2\nrun arm status --board adapter AT_KIT\nexpect counts whole turns\nends 2\n{}run setup check AT_KIT\nexpect Nothing is wrong\nends\n",
            calibrated()
        ),
    );
    assert!(
        told.contains("Servo 1 (shoulder_pan) counted whole turns (register 18, bit 4): set back")
    );
}

#[test]
fn joints_that_say_nothing_are_asked_for_again_and_the_others_are_kept() {
    let table = Table::new();
    let told = table.ok(
        false,
        // shoulder_lift stands at a stop when its middle is taken, wrist_roll is not moved, and the gripper moves by ten ticks.
        &format!(
            "run setup calibrate AT_KIT\nexpect Hold the arm\nanswer\nexpect Put every joint\n{MIDDLE}hand shoulder_lift -9\nsettle\nanswer\nexpect Move every joint\nsweep shoulder_pan\nsweep shoulder_lift\nsweep elbow_flex\nsweep wrist_flex\nsweep gripper -0.02 -0.012\nsettle\nanswer\nexpect shoulder_lift began at 0 % of its range\nexpect wrist_roll was moved by 0 ticks\nexpect gripper was moved by\nexpect Once more: shoulder_lift, wrist_roll, gripper\nexpect Put shoulder_lift, wrist_roll, gripper in the middle\nhand shoulder_lift 0\nsettle\nanswer\nexpect Move shoulder_lift, wrist_roll, gripper\nsweep shoulder_lift\nsweep wrist_roll\nsweep gripper\nsettle\nanswer\nexpect the calibration is saved in\nends\nshow\n"
        ),
    );
    assert!(table.calibration().contains("wrist_roll"), "{told}");
}

#[test]
fn without_an_answer_nothing_is_guessed_and_nothing_is_left() {
    let table = Table::new();
    table.ok(
        false,
        &format!(
            "{}expect Once more\nanswer stop\nexpect stopped: nothing was stored or saved\nends 2\nrun setup calibrate AT_KIT\nexpect Hold the arm\nends 2\n",
            calibration("sweep shoulder_pan")
        ),
    );
    assert!(
        !table
            .path()
            .join("config/wink/calibration/so101/default.toml")
            .exists()
    );
    let told = table.ok(false, "run setup calibrate AT_KIT\nends 2\nshow\n");
    assert!(
        told.contains("standard input ended before this was answered"),
        "{told}"
    );
    assert_eq!(shown(&told)["torque_switched_on"], 0);
}

#[test]
fn an_offset_that_changed_since_is_told_and_not_followed() {
    let told = Table::new().ok(
        false,
        &format!(
            "{}register elbow_flex 31 100 8\nrun arm jog --board adapter AT_KIT --joint elbow_flex --by 0.1\nexpect servo 3 (elbow_flex) has the homing offset -100, its calibration says\nends 2\nshow\n",
            calibrated()
        ),
    );
    assert_eq!(shown(&told)["torque_switched_on"], 0);
}

#[test]
fn a_narrow_sweep_is_saved_and_a_wider_one_widens_the_limits_again() {
    let table = Table::new();
    let narrow = "sweep shoulder_pan\nsweep shoulder_lift\nsweep elbow_flex\nsweep wrist_flex -0.44 0.44\nsweep wrist_roll\nsweep gripper";
    let refused = "run arm jog --board adapter AT_KIT --joint wrist_flex --by 1.0\nexpect may go from\nends 2\n";
    let script = format!(
        "{}expect the calibration is saved in\nends\n{refused}{}run arm jog --board adapter AT_KIT --joint wrist_flex --by 1.0\nends\n",
        calibration(narrow),
        calibrated()
    );
    let told = table.ok(false, &script);
    assert!(told.contains("the arm holds"), "{told}");
}

#[test]
fn a_folded_joint_moves_inwards_and_the_others_as_asked() {
    let told = Table::new().ok(
        false,
        &format!(
            "stops shoulder_lift -2.0 1.9\n{}hand shoulder_lift -2\nsettle\nrun arm jog --board adapter AT_KIT --joint elbow_flex --by 0.3\nexpect shoulder_lift is at\nexpect it moves inwards, slowly\nexpect elbow_flex:\nends\nshow\n",
            calibrated()
        ),
    );
    let shown = shown(&told);
    let elbow = joint(&shown, "elbow_flex")["position"].as_f64().unwrap();
    assert!((elbow - 0.3).abs() < 0.03, "{elbow}");
    let lift = joint(&shown, "shoulder_lift")["position"].as_f64().unwrap();
    assert!((-1.99..-1.7).contains(&lift), "{lift}");
}

#[test]
fn what_is_refused_switches_no_torque_on() {
    let mut script = calibrated();
    for by in ["nan", "100", "inf", "-9"] {
        script += &format!(
            "run arm jog --board adapter AT_KIT --joint elbow_flex --by {by}\nexpect may go from\nends 2\n"
        );
    }
    script += "run arm jog --board adapter AT_KIT --joint knee --by 0.1\nexpect the arm has\nends 2\nshow\n";
    let told = Table::new().ok(false, &script);
    assert_eq!(shown(&told)["torque_switched_on"], 0);
}

#[test]
fn every_servo_that_is_wrong_is_named_at_once() {
    let run = "run setup check AT_KIT\n";
    let all_ids_1: String = [
        "shoulder_lift",
        "elbow_flex",
        "wrist_flex",
        "wrist_roll",
        "gripper",
    ]
    .map(|name| format!("id {name} 1\n"))
    .concat();
    for (kit, expected) in [
        (
            all_ids_1.as_str(),
            "servos 2, 3, 4, 5, 6 do not answer (shoulder_lift, elbow_flex, wrist_flex, wrist_roll, gripper)|several servos have the id 1",
        ),
        (
            "unplug shoulder_pan\nunplug gripper\n",
            "servos 1, 6 do not answer (shoulder_pan, gripper)",
        ),
        (
            "unplug all\nplug shoulder_pan\n",
            "servos 2, 3, 4, 5, 6 do not answer",
        ),
        ("unplug all\n", "no servo answers: is the arm's supply on"),
        (
            "id gripper 3\n",
            "servo 6 does not answer (gripper)|several servos have the id 3",
        ),
        (
            "id gripper 9\n",
            "servo 6 does not answer (gripper)|the arm has no servo of the id 9 that answers",
        ),
        (
            "register wrist_flex 3 9 11\n",
            "servo 4 (wrist_flex) is of model 2825",
        ),
        (
            "register all 14 84\nsupply 12.1\n",
            "the supply of 12.1 V is too strong for servo 1, 2, 3, 4, 5, 6, made for 4.0 to 8.4 V",
        ),
        (
            "supply 3.5\n",
            "the supply of 3.5 V is too weak for servo 1, 2, 3, 4, 5, 6",
        ),
        ("latency 16\n", "servos answer too late for a control step"),
    ] {
        let kit = kit.replace(
            "register all 14 84\n",
            &JOINTS
                .map(|name| format!("register {name} 14 84\n"))
                .concat(),
        );
        let script = format!("{kit}{run}ends 2\nrun setup check AT_KIT --json\nends 2\n");
        let told = Table::new().ok(false, &script);
        for expected in expected.split('|') {
            assert!(
                told.contains(expected),
                "\"{told}\" does not say \"{expected}\""
            );
        }
    }
}

#[test]
fn torque_that_was_left_on_blocks_no_start_and_can_be_let_go_of() {
    let left_on: String = ["shoulder_pan", "elbow_flex"]
        .map(|name| format!("register {name} 40 1\n"))
        .concat();
    let status = "run arm status --board adapter AT_KIT\n";
    // The kit's servos hold the factory's gain until they are first driven, which torque keeps from being set.
    let script = format!(
        "{}{left_on}{status}expect left on by an earlier run\nends 2\nrun arm release --board adapter AT_KIT --now\nexpect torque is off\nends\nshow\n{status}expect DISARMED\nends\n{left_on}{status}expect DISARMED\nends\nshow\n",
        calibrated()
    );
    let told = Table::new().ok(false, &script);
    let shown = shown(&told);
    assert_eq!(
        joint(&shown, "elbow_flex")["torque"],
        true,
        "a start leaves torque as it is"
    );
}

#[test]
fn a_port_that_is_taken_names_the_program() {
    let table = Table::new();
    let link = table.path().join("devices/adapter");
    let mut kit = Command::new(env!("CARGO_BIN_EXE_wink"))
        .current_dir(REPOSITORY)
        .arg("kit")
        .arg("--link")
        .arg(&link)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !link.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let holder = fs::OpenOptions::new().read(true).open(&link).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_wink"))
        .current_dir(REPOSITORY)
        .env("XDG_CONFIG_HOME", table.path())
        .args(["setup", "check", "--port"])
        .arg(&link)
        .output()
        .unwrap();
    drop(holder);
    drop(kit.stdin.take());
    kit.wait().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("is taken by") && told.contains(&format!("process {}", std::process::id())),
        "{told}"
    );
}

#[test]
fn the_links_round_trip_is_the_links() {
    let output = Command::new(env!("CARGO_BIN_EXE_wink"))
        .current_dir(REPOSITORY)
        .args(["arm", "status", "--board", "sim", "--json"])
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let least = status["link"]["round_trip_us"]["least"].as_u64().unwrap();
    // A tick of the simulated board, not the 50 ms between two pings.
    assert!(least <= 20_000, "{least} us");
}
