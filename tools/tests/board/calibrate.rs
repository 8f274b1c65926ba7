//! `wink arm calibrate`: where a calibration is kept, what it is checked for, and which commands then use it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use super::common::{names, text};
use super::{REPOSITORY, stage, staged};

const NAMES: [&str; 6] = [
    "shoulder_pan",
    "shoulder_lift",
    "elbow_flex",
    "wrist_flex",
    "wrist_roll",
    "gripper",
];

/// LeRobot's file of an arm whose joints all go from tick 900 to `range_max`.
fn lerobot(range_max: i32) -> String {
    let rows: Vec<String> = (1..)
        .zip(NAMES)
        .map(|(id, name)| {
            format!(
                r#""{name}": {{"id": {id}, "drive_mode": 0, "homing_offset": 12, "range_min": 900, "range_max": {range_max}}}"#
            )
        })
        .collect();
    format!("{{{}}}", rows.join(", "))
}

/// The repository's arms, with LeRobot's file `my.json`.
fn bench() -> TempDir {
    let folder = stage(&[("cargo", "exit 1"), ("probe-rs", "exit 1")]);
    fs::write(folder.path().join("my.json"), lerobot(3200)).unwrap();
    folder
}

fn calibrate(folder: &Path, args: &[&str]) -> Output {
    staged(folder, &[&["arm", "calibrate"], args].concat())
}

fn saved(folder: &Path, args: &[&str]) -> String {
    let output = calibrate(folder, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The one line of a refusal.
fn refused(output: &Output) -> String {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    told
}

fn kept(folder: &Path) -> PathBuf {
    folder.join("config/wink/calibration/so101")
}

#[test]
fn a_calibration_is_kept_beside_the_arms_model_which_stays_as_it_is() {
    let folder = bench();
    let model = folder.path().join("boards/arms/so101.toml");
    let before = fs::read(&model).unwrap();
    let args = ["--arm", "so101", "--lerobot", "my.json"];
    let told = saved(folder.path(), &args);
    assert!(
        told.contains("elbow_flex     zero at tick 2050.0, from 900 to 3200"),
        "{told}"
    );
    let file = fs::read_to_string(kept(folder.path()).join("default.toml")).unwrap();
    assert!(file.contains("homing_offset = 12"), "{file}");
    assert_eq!(fs::read(&model).unwrap(), before, "the model was written");

    fs::write(folder.path().join("bad.json"), "{}").unwrap();
    let output = calibrate(folder.path(), &["--arm", "so101", "--lerobot", "bad.json"]);
    assert!(refused(&output).contains("bad.json: there is no \"shoulder_pan\""));
    let again = fs::read_to_string(kept(folder.path()).join("default.toml")).unwrap();
    assert_eq!(again, file, "left as it was");
    assert_eq!(names(&kept(folder.path())), ["default.toml"]);
}

#[test]
fn a_wider_calibration_widens_the_limits_again() {
    let folder = bench();
    let limit = |range_max| {
        fs::write(folder.path().join("my.json"), lerobot(range_max)).unwrap();
        let told = saved(
            folder.path(),
            &["--arm", "so101", "--lerobot", "my.json", "--json"],
        );
        let found: Value = serde_json::from_str(&told).unwrap();
        found["joints"][0]["max"].as_f64().unwrap()
    };
    let narrow = limit(1500);
    let wide = limit(3500);
    assert!(
        (narrow - 300.0 / 4096.0 * std::f64::consts::TAU).abs() < 1e-6,
        "{narrow}"
    );
    assert!(
        (wide - 1300.0 / 4096.0 * std::f64::consts::TAU).abs() < 1e-6,
        "{wide}"
    );
    // Up to those of the arm's file.
    fs::write(folder.path().join("my.json"), lerobot(3700)).unwrap();
    assert!((limit(3700) - 2.09695).abs() < 1e-6);
}

#[test]
fn out_names_the_file_and_is_written_whole_through_links() {
    let folder = bench();
    let (real, link) = (
        folder.path().join("real.toml"),
        folder.path().join("link.toml"),
    );
    fs::write(&real, "old").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
    symlink("real.toml", &link).unwrap();
    let arm = ["--arm", "so101", "--lerobot", "my.json", "--out"];
    saved(folder.path(), &[&arm[..], &["link.toml"]].concat());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let mode = fs::metadata(&real).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let written = fs::read_to_string(&real).unwrap();
    assert!(written.contains("arm = \"so101\""), "{written}");
    assert!(
        !folder.path().join("config").exists(),
        "kept in one place only"
    );

    let before = names(folder.path());
    fs::create_dir(folder.path().join("empty")).unwrap();
    for (out, expected) in [
        ("empty", "empty: this is a folder: name a file in it"),
        ("empty/", "this is a folder"),
        ("my.json/x.toml", "my.json/x.toml: "),
        ("boards/arms/so101.toml", "this is the arm's own file"),
    ] {
        let output = calibrate(folder.path(), &[&arm[..], &[out]].concat());
        let told = refused(&output);
        assert!(told.contains(expected), "{told}");
    }
    assert!(names(&folder.path().join("empty")).is_empty());
    fs::remove_dir(folder.path().join("empty")).unwrap();
    assert_eq!(names(folder.path()), before, "nothing is left over");
}

#[test]
fn an_arm_is_the_file_that_was_named() {
    let folder = bench();
    let arms = folder.path().join("boards/arms");
    let so101 = fs::read_to_string(arms.join("so101.toml")).unwrap();
    let told = refused(&calibrate(
        folder.path(),
        &["--arm", "so101.left", "--lerobot", "my.json"],
    ));
    assert!(
        told.contains("boards/arms/so101.left.toml: No such file"),
        "{told}"
    );
    assert_eq!(fs::read_to_string(arms.join("so101.toml")).unwrap(), so101);
    fs::write(
        arms.join("so101.left.toml"),
        so101.replace("\"so101\"", "\"left\""),
    )
    .unwrap();
    saved(
        folder.path(),
        &["--arm", "so101.left", "--lerobot", "my.json"],
    );
    assert!(
        folder
            .path()
            .join("config/wink/calibration/left/default.toml")
            .is_file()
    );
    // A file whose lines end as on Windows, and one with its gripper on a line, are files like others.
    for (name, model) in [
        ("crlf.toml", so101.replace('\n', "\r\n")),
        ("inline.toml", {
            let (before, rest) = so101.split_once("[gripper]\n").unwrap();
            let (gripper, after) = rest.split_once("\n[servos]").unwrap();
            let fields: Vec<&str> = gripper
                .lines()
                .filter(|line| line.contains(" = "))
                .map(without_comment)
                .collect();
            let (head, joints) = before.split_once("\n[[joint]]").unwrap();
            format!(
                "{head}\ngripper = {{ {} }}\n\n[[joint]]{joints}\n[servos]{after}",
                fields.join(", ")
            )
        }),
    ] {
        fs::write(folder.path().join(name), &model).unwrap();
        saved(
            folder.path(),
            &["--arm", name, "--lerobot", "my.json", "--out", "out.toml"],
        );
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), model);
    }
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap().trim()
}

#[test]
fn calibrations_go_by_id_and_are_never_guessed() {
    let folder = bench();
    for id in ["left", "right"] {
        saved(
            folder.path(),
            &["--arm", "so101", "--lerobot", "my.json", "--id", id],
        );
    }
    assert_eq!(names(&kept(folder.path())), ["left.toml", "right.toml"]);
    let status = |args: &[&str]| {
        let all = [
            &[
                "arm",
                "status",
                "--arm",
                "so101",
                "--port",
                "/dev/no-such-port",
            ],
            args,
        ]
        .concat();
        refused(&staged(folder.path(), &all))
    };
    let told = status(&[]);
    assert!(
        told.contains("the arm so101 has the calibrations left, right: choose one with --id"),
        "{told}"
    );
    let told = status(&["--id", "middle"]);
    assert!(
        told.contains("there is no calibration \"middle\" of the arm so101")
            && told.contains("(there are: left, right)"),
        "{told}"
    );
    let told = status(&["--id", "../left"]);
    assert!(
        told.contains("\"../left\" cannot name a calibration"),
        "{told}"
    );
    let told = status(&["--id", "left"]);
    assert!(told.contains("/dev/no-such-port"), "{told}");
    let told = status(&["--id", "left", "--calibration", "x.toml"]);
    assert!(told.contains("give one of them"), "{told}");
    // A file that was cut off is no calibration, and is not driven with.
    let path = kept(folder.path()).join("left.toml");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let told = status(&["--id", "left"]);
    assert!(told.contains("left.toml: "), "{told}");
    let told = refused(&staged(
        folder.path(),
        &["arm", "status", "--board", "sim", "--id", "right"],
    ));
    assert!(
        told.contains("the simulated arm has no calibration"),
        "{told}"
    );
}

#[test]
fn a_calibration_goes_back_to_lerobot() {
    let folder = bench();
    let to = ["--arm", "so101", "--to-lerobot", "theirs.json"];
    let told = refused(&calibrate(folder.path(), &to));
    assert!(told.contains("so101 has no calibration"), "{told}");
    saved(folder.path(), &["--arm", "so101", "--lerobot", "my.json"]);
    saved(folder.path(), &to);
    let read = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(folder.path().join(name)).unwrap()).unwrap()
    };
    assert_eq!(read("theirs.json"), read("my.json"));
    let order = fs::read_to_string(folder.path().join("theirs.json")).unwrap();
    let places: Vec<usize> = NAMES.iter().map(|name| order.find(name).unwrap()).collect();
    assert!(places.is_sorted(), "{order}");
}

#[test]
fn an_image_is_built_for_the_arm_and_the_calibration_that_were_named() {
    let folder = bench();
    let plan = |args: &[&str]| {
        let output = staged(
            folder.path(),
            &[&["flash", "--board", "pico", "--dry-run"], args].concat(),
        );
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        (text(&output.stdout), text(&output.stderr))
    };
    for board in ["pico", "nucleo-f411"] {
        let package = Path::new(REPOSITORY)
            .join("boards")
            .join(board)
            .join("Cargo.toml");
        fs::copy(
            package,
            folder.path().join("boards").join(board).join("Cargo.toml"),
        )
        .unwrap();
    }
    let (told, warned) = plan(&["--arm", "so101"]);
    assert!(
        told.contains("--features arm-so101") && !told.contains("WINK_"),
        "{told}"
    );
    assert!(warned.contains("so101 is not calibrated"), "{warned}");
    let (_, warned) = plan(&["--arm", "wx250s"]);
    assert_eq!(warned, "", "it is put together so that its zeros are known");

    let mine = folder.path().join("my.toml");
    fs::copy(folder.path().join("boards/arms/so101.toml"), &mine).unwrap();
    let (told, _) = plan(&["--arm", "my.toml"]);
    assert!(
        told.contains(&format!("WINK_ARM={}", mine.display())),
        "{told}"
    );
    assert!(!told.contains("--features"), "{told}");
    fs::copy(&mine, folder.path().join("boards/arms/own.toml")).unwrap();
    let (told, _) = plan(&["--arm", "own"]);
    assert!(
        told.contains("boards/arms/own.toml") && !told.contains("--features"),
        "{told}"
    );

    saved(folder.path(), &["--arm", "so101", "--lerobot", "my.json"]);
    let (told, warned) = plan(&["--arm", "so101"]);
    let path = kept(folder.path()).join("default.toml");
    assert!(
        told.contains(&format!("WINK_CALIBRATION={}", path.display())),
        "{told}"
    );
    assert_eq!(warned, "");

    let pwm = "format = 1\nname = \"p\"\n[[joint]]\nname = \"a\"\nservo_ids = [0]\noffset_m = [0.0, 0.0, 0.0]\naxis = [0.0, 0.0, 1.0]\n\
        min_rad = -1.0\nmax_rad = 1.0\nvelocity_rad_s = 1.0\nacceleration_rad_s2 = 9.0\nhome_rad = 0.0\n\
        servo = { shortest = { pulse_us = 500, position = -1.5 }, longest = { pulse_us = 2500, position = 1.5 } }\n\
        [tool]\noffset_m = [0.0, 0.0, 0.0]\n[servos]\nmodel = \"pwm\"\n";
    fs::write(folder.path().join("pwm.toml"), pwm).unwrap();
    let output = staged(
        folder.path(),
        &["flash", "--board", "pico", "--dry-run", "--arm", "pwm.toml"],
    );
    let told = refused(&output);
    assert!(
        told.contains("pwm.toml: an image drives servos on a serial bus"),
        "{told}"
    );
    let output = calibrate(
        folder.path(),
        &["--arm", "pwm.toml", "--lerobot", "my.json"],
    );
    let told = refused(&output);
    assert!(
        told.contains("\"a\"") || told.contains("no servos on a serial bus"),
        "{told}"
    );
}
