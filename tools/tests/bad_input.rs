//! Bad input is told in one line that says what and where, exits with 2 and leaves nothing half-written.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

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

    let dir = tempfile::tempdir().unwrap();
    let locked = dir.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    // Whoever may write everywhere, as root, can learn nothing here.
    if fs::write(locked.join("probe"), "").is_ok() {
        return;
    }
    let output = wink(
        dir.path(),
        &[
            "eval",
            "--policy",
            "expert",
            "--episodes",
            "1",
            "--out",
            "locked/x",
        ],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("locked/x"));
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
