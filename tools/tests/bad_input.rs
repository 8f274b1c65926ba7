//! Bad input is told in one line that says what and where, exits with 2 and leaves nothing half-written.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{names, text, wink};

#[test]
fn one_line_exit_code_2_nothing_written() {
    let table: &[(&[&str], &[&str])] = &[
        (
            &[
                "eval",
                "--policy",
                "expert",
                "--episodes",
                "0",
                "--out",
                "x",
            ],
            &["--episodes", "0"],
        ),
        (
            &[
                "eval", "--policy", "expert", "--split", "test", "--out", "x",
            ],
            &["--split", "test", "val"],
        ),
        (
            &[
                "eval",
                "--policy",
                "expert",
                "--controls",
                "nonsense,rhyme",
                "--out",
                "x",
            ],
            &["--controls", "rhyme", "paraphrase"],
        ),
        (
            &["eval", "--policy", "expert", "--jobs", "0", "--out", "x"],
            &["--jobs"],
        ),
        (
            &[
                "eval",
                "--policy",
                "expert",
                "--precision",
                "int8",
                "--out",
                "x",
            ],
            &["--precision int8", "expert"],
        ),
        (
            &["eval", "--precision", "f32,int7", "--out", "x"],
            &["--policy models/wink-s", "int7", "f32, int8"],
        ),
        (
            &["eval", "--precision", "int8,f32,int8", "--out", "x"],
            &["--precision int8,f32,int8", "int8 is named twice"],
        ),
        (
            &["eval", "--policy", "nowhere/at/all", "--out", "x"],
            &["--policy nowhere/at/all"],
        ),
        (
            &["eval", "--policy", "empty", "--out", "x"],
            &["policy.json"],
        ),
        (
            &["eval", "--policy", "broken", "--out", "x"],
            &["broken/policy.json", "line 1"],
        ),
        (
            &["eval", "--policy", "expert", "--out", "file"],
            &["--out file"],
        ),
        (
            &["eval", "--policy", "expert", "--out", "file/below"],
            &["--out file/below"],
        ),
        (
            &["eval", "--policy", "expert", "--out", "full"],
            &["--out full", "--force"],
        ),
        (
            &["eval", "--policy", "expert", "--out", "full", "--force"],
            &["--out full", "report.json"],
        ),
        (&["eval", "--policy", "expert", "--force"], &["--out"]),
        (
            &[
                "eval",
                "--policy",
                "expert",
                "--seed",
                "18446744073709551615",
                "--out",
                "x",
            ],
            &["--seed"],
        ),
        (&["eval", "--polciy", "expert"], &["--polciy"]),
        (
            &["record", "--episodes", "0", "--out", "x"],
            &["--episodes", "0"],
        ),
        (&["record", "--out", "x"], &["--episodes"]),
        (&["record", "--episodes", "1"], &["--out"]),
        (
            &["record", "--episodes", "1", "--out", "file/below"],
            &["--out file/below"],
        ),
        (
            &["record", "--episodes", "1", "--out", "full"],
            &["--out full"],
        ),
        (
            &["record", "--episodes", "1", "--out", "x", "--noise", "-1"],
            &["--noise"],
        ),
        (
            &["record", "--episodes", "1", "--out", "x", "--noise", "NaN"],
            &["--noise"],
        ),
        (
            &["record", "--episodes", "1", "--out", "x", "--frame", "9000"],
            &["--frame", "9000"],
        ),
        (
            &["frames", "--data", "empty", "--out", "x.npy"],
            &["--data", "empty", "meta/info.json"],
        ),
        (
            &["frames", "--data", "full", "--out", "x.npy", "--every", "0"],
            &["--every", "0"],
        ),
        (
            &[
                "frames", "--data", "full", "--out", "x.npy", "--crop", "1,2,3",
            ],
            &["--crop", "LEFT,TOP,WIDTH,HEIGHT"],
        ),
        (
            &["frames", "--data", "full", "--out", "file"],
            &["--out file", "--force"],
        ),
        (
            &[
                "eval",
                "--policy",
                "random",
                "--scheduler",
                "best",
                "--out",
                "x",
            ],
            &["--scheduler", "best", "synchronous, naive"],
        ),
        (
            &[
                "eval",
                "--policy",
                "random",
                "--latency",
                "40",
                "--out",
                "x",
            ],
            &["--latency", "40ms"],
        ),
        (
            &[
                "eval",
                "--policy",
                "random",
                "--latency",
                "nowhere.json",
                "--out",
                "x",
            ],
            &["nowhere.json"],
        ),
        (
            &["eval", "--policy", "random", "--latency", "measured"],
            &["--latency measured", "--out"],
        ),
        (
            &[
                "eval",
                "--scheduler",
                "naive",
                "--latency",
                "450ms",
                "--out",
                "x",
            ],
            &["--latency 450 ms", "d = 9 steps", "H - s = 16 - 9 = 7"],
        ),
        (
            &["eval", "--scheduler", "guided", "--out", "x"],
            &["--scheduler guided", "a flow", "act.action"],
        ),
        (
            &["eval", "--scheduler", "naive,guided", "--out", "x"],
            &["--scheduler", "--sweep-latency"],
        ),
        (
            &["eval", "--moving-cards", "0.05"],
            &["--moving-cards", "\"0.05\" is no speed", "50mm/s"],
        ),
        (
            &["eval", "--moving-cards", "2m/s"],
            &["--moving-cards", "0.5 m/s"],
        ),
        (
            &["eval", "--sweep-latency", "50,0ms", "--out", "x"],
            &["--sweep-latency", "rise"],
        ),
        (&["frobnicate"], &["frobnicate"]),
    ];
    for (args, told) in table {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "a file").unwrap();
        for folder in ["empty", "full", "broken"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        fs::write(dir.path().join("full/thesis.txt"), "years of work").unwrap();
        fs::write(dir.path().join("broken/policy.json"), "{ no json").unwrap();

        let output = wink(dir.path(), args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
        for word in *told {
            assert!(stderr.contains(word), "{args:?}: no `{word}` in {stderr}");
        }
        assert!(output.stdout.is_empty(), "{args:?}");
        assert_eq!(
            names(dir.path()),
            ["broken", "empty", "file", "full"],
            "{args:?}"
        );
        assert_eq!(names(&dir.path().join("full")), ["thesis.txt"], "{args:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission_is_bad_input() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let dir = tempfile::tempdir().unwrap();
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let locked = dir.path().join("locked");
    fs::create_dir(&locked).unwrap();
    allow(&locked, 0o555);
    let mut program = Path::new(env!("CARGO_BIN_EXE_wink")).to_owned();
    let as_root = fs::write(locked.join("probe"), "").is_ok();
    if as_root {
        // Root may write everywhere; another user may not, and may not see the build folder either.
        let copy = dir.path().join("wink");
        fs::copy(&program, &copy).unwrap();
        allow(dir.path(), 0o755);
        program = copy;
    }
    let mut command = Command::new(program);
    if as_root {
        command.uid(65534).gid(65534);
    }
    command.current_dir(dir.path());
    let args = "eval --policy expert --episodes 1 --out locked/x";
    let output = command.args(args.split(' ')).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("locked/x"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn help_has_examples() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["--help"][..],
        &["eval", "--help"],
        &["record", "--help"],
        &["frames", "--help"],
        &["inspect", "--help"],
        &["results", "--help"],
        &["cards", "--help"],
    ] {
        let output = wink(dir.path(), args);
        assert!(output.status.success(), "{args:?}");
        assert!(text(&output.stdout).contains("Examples:"), "{args:?}");
    }
}
