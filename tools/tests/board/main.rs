//! `wink flash`, `wink log` and `wink arm`, with commands that stand in for a probe, and the simulated arm.

#![allow(clippy::unwrap_used)]

mod calibrate;
#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use common::{text, wink_ok};
use serde_json::Value;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A folder with boards, and with programs that say what they were called with, then do as told.
fn stage(programs: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["nucleo-f411", "pico"] {
        let board = folder.path().join("boards").join(name);
        fs::create_dir_all(&board).unwrap();
        let file = Path::new(REPOSITORY)
            .join("boards")
            .join(name)
            .join("board.toml");
        fs::copy(file, board.join("board.toml")).unwrap();
    }
    let arms = folder.path().join("boards/arms");
    fs::create_dir_all(&arms).unwrap();
    for arm in ["wx250s.toml", "so101.toml"] {
        let file = Path::new(REPOSITORY).join("boards/arms").join(arm);
        fs::copy(file, arms.join(arm)).unwrap();
    }
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for (name, does) in programs {
        let path = bin.join(name);
        let called = folder.path().join("called");
        let script = format!(
            "#!/bin/sh\necho {name} \"$@\" >> {}\n{does}\n",
            called.display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn staged(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wink"))
        .current_dir(folder)
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", folder.join("bin").display()),
        )
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let folder = stage(&[("cargo", "exit 1"), ("probe-rs", "exit 1")]);
    for (board, expected) in [
        (
            "nucleo-f411",
            "probe-rs download --verify --chip STM32F411RETx",
        ),
        ("pico", "drive RPI-RP2"),
    ] {
        let output = staged(folder.path(), &["flash", "--board", board, "--dry-run"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let told = text(&output.stdout);
        assert!(
            told.contains(expected) && told.contains("handshake"),
            "{told}"
        );
    }
    let output = staged(
        folder.path(),
        &[
            "flash",
            "--board",
            "pico",
            "--dry-run",
            "--json",
            "--arm",
            "so101",
        ],
    );
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["transfer"]["uf2"]["family"], 0xe48b_ff56_u32);
    assert!(!folder.path().join("called").exists());
}

#[test]
fn a_probe_is_used_as_planned() {
    let folder = stage(&[("cargo", ""), ("probe-rs", "")]);
    let args = [
        "flash",
        "--board",
        "nucleo-f411",
        "--probe",
        "0483:374b",
        "--no-handshake",
    ];
    let output = staged(folder.path(), &args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let called = fs::read_to_string(folder.path().join("called")).unwrap();
    let lines: Vec<&str> = called.lines().collect();
    assert!(lines[0].starts_with("cargo build --release --target thumbv7em-none-eabihf"));
    assert!(
        lines[1].starts_with("probe-rs download --verify --chip STM32F411RETx --probe 0483:374b")
    );
    assert_eq!(
        lines[2],
        "probe-rs reset --chip STM32F411RETx --probe 0483:374b"
    );
}

#[test]
fn what_goes_wrong_is_explained() {
    let say = |what: &str| format!("echo '{what}' >&2; exit 1");
    let cases = [
        (
            "exit 0",
            say("Error: No connected probes were found"),
            "is the board plugged in",
        ),
        (
            "exit 0",
            say("Error: USB error: Permission denied"),
            "idProduct}==\"374b\"",
        ),
        (
            "exit 0",
            say("Error: unexpected target: IDCODE mismatch"),
            "is this the right --board?",
        ),
        (
            "echo \"error[E0463]: can't find crate for \\`core\\`\" >&2; exit 101",
            String::new(),
            "rustup target add thumbv7em-none-eabihf",
        ),
    ];
    for (cargo, probe, expected) in cases {
        let folder = stage(&[("cargo", cargo), ("probe-rs", &probe)]);
        let output = staged(folder.path(), &["flash", "--board", "nucleo-f411"]);
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        assert!(told.contains(expected), "\"{told}\" lacks \"{expected}\"");
    }
    let folder = stage(&[("cargo", "")]);
    let cases: &[(&[&str], &str)] = &[
        (
            &["flash", "--board", "toaster"],
            "boards here: nucleo-f411, pico",
        ),
        (
            &["flash", "--board", "pico", "--arm", "crane"],
            "crane.toml",
        ),
        (
            &["flash", "--board", "nucleo-f411"],
            "cargo install probe-rs-tools",
        ),
        (&["log", "--board", "nucleo-f411"], "give --image"),
        (
            &["arm", "status", "--port", "/dev/no-such-port"],
            "/dev/no-such-port",
        ),
        (
            &["arm", "status", "--board", "sim", "--arm", "so101"],
            "is a wx250s",
        ),
        (
            &[
                "arm", "jog", "--board", "sim", "--joint", "knee", "--by", "0.1",
            ],
            "waist",
        ),
        (
            &[
                "arm", "jog", "--board", "sim", "--joint", "elbow", "--by", "9",
            ],
            "may go from",
        ),
    ];
    for (args, expected) in cases {
        let output = staged(folder.path(), args);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(
            told.contains(expected),
            "{args:?}: \"{told}\" lacks \"{expected}\""
        );
        assert_eq!(
            told.lines()
                .filter(|line| line.starts_with("error:"))
                .count(),
            1
        );
    }
}

#[test]
fn an_image_is_copied_to_the_boards_drive() {
    let folder = stage(&[("cargo", "")]);
    let image = folder.path().join("target/thumbv6m-none-eabi/release");
    fs::create_dir_all(&image).unwrap();
    fs::write(image.join("pico"), elf(0x1000_0000, &[7; 300])).unwrap();
    let drive = folder.path().join("drive");
    fs::create_dir(&drive).unwrap();
    fs::write(drive.join("INFO_UF2.TXT"), "UF2").unwrap();
    let mark = drive.join("INFO_UF2.TXT");
    // As a board does: once the file is there, the drive goes away.
    let taken = drive.join("WINK.UF2");
    let board = std::thread::spawn(move || {
        while fs::metadata(&taken).map_or(0, |file| file.len()) < 1024 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        fs::remove_file(mark).unwrap();
    });
    let args = [
        "flash",
        "--board",
        "pico",
        "--no-handshake",
        "--drive",
        "drive",
    ];
    let output = staged(folder.path(), &args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    board.join().unwrap();
    let file = fs::read(drive.join("WINK.UF2")).unwrap();
    assert_eq!((file.len(), file[32], file[512 + 32 + 43]), (1024, 7, 7));
}

/// A 32-bit little-endian ELF with one segment.
fn elf(address: u32, bytes: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2_u16, 40] {
        file.extend(half.to_le_bytes());
    }
    for word in [1, address, 52, 0, 0] {
        file.extend(u32::to_le_bytes(word));
    }
    for half in [52_u16, 32, 1, 40, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let length = bytes.len() as u32;
    for word in [1, 84, address, address, length, length, 5, 4] {
        file.extend(u32::to_le_bytes(word));
    }
    file.extend(bytes);
    file
}

#[test]
fn the_simulated_arm_is_looked_at_and_jogged() {
    let repository = Path::new(REPOSITORY);
    let told = wink_ok(repository, &["arm", "status", "--board", "sim"]);
    for expected in [
        "waist",
        "gripper",
        "DISARMED",
        "round trip",
        "drives wx250s",
    ] {
        assert!(told.contains(expected), "no {expected} in\n{told}");
    }
    let told = wink_ok(repository, &["arm", "status", "--board", "sim", "--json"]);
    let status: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(status["joints"].as_array().unwrap().len(), 7);
    assert!(status["link"]["round_trip_us"]["pings"].as_u64().unwrap() > 0);
    let args = [
        "arm", "jog", "--board", "sim", "--joint", "waist", "--by", "-0.1",
    ];
    let told = wink_ok(repository, &args);
    let (_, moved) = told.split_once("-> ").unwrap();
    let moved: f64 = moved.split(' ').next().unwrap().parse().unwrap();
    assert!((moved + 0.1).abs() < 0.005, "{told}");
}
