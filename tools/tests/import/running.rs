//! Running `wink import` on a fixture's graphs and a checkpoint that the test wrote.

use std::path::Path;

use serde_json::Value;

use crate::checkpoint::{Checkpoint, policies, read};
use crate::common::{names, text, wink};

/// Everything that the checkpoint of tiny ACT does not say.
pub const ANSWERS: [&str; 12] = [
    "--config",
    "checkpoint",
    "--dataset",
    "dataset",
    "--normalisation",
    "outside",
    "--joint-units",
    "lerobot_degrees,gripper.pos=percent",
    "--action-space",
    "joint_position",
    "--licence",
    "Apache-2.0",
];

/// `wink import` of tiny ACT's graph into `act`.
pub fn command<'a>(answers: &[&'a str], graph: &'a str) -> Vec<&'a str> {
    let mut args = vec!["import", "--onnx", graph, "--out", "out/act"];
    args.extend(answers);
    args
}

/// The graph of a fixture.
pub fn graph(name: &str, file: &str) -> String {
    let path = policies().join(name).join(file);
    path.to_str().unwrap().to_owned()
}

/// Writes a checkpoint and imports it with further answers; the manifest, or the one line of the error.
pub fn import(checkpoint: &Checkpoint, more: &[&str]) -> Result<Value, String> {
    let answers: Vec<&str> = ANSWERS.iter().chain(more).copied().collect();
    import_with(checkpoint, &answers)
}

pub fn import_with(checkpoint: &Checkpoint, answers: &[&str]) -> Result<Value, String> {
    let dir = tempfile::tempdir().unwrap();
    checkpoint.write(dir.path());
    let act = graph("act", "act.onnx");
    let out = dir.path().join("out/act");
    run(dir.path(), &command(answers, &act), &out)
}

/// Runs the command: the manifest that it writes below `out`, or its error.
pub fn run(dir: &Path, args: &[&str], out: &Path) -> Result<Value, String> {
    let output = wink(dir, args);
    let stderr = text(&output.stderr);
    if output.status.success() {
        return Ok(read(&out.join("policy.json")));
    }
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
    // No package, nor a half of one.
    let parent = out.parent().unwrap();
    let left = |name: &String| name.contains("partial") || name == "act" || name == "out";
    let left = parent.exists() && parent != dir && names(parent).iter().any(left);
    assert!(!left && !out.exists(), "{stderr}");
    Err(stderr)
}

/// The error holds all these words.
pub fn refused(result: Result<Value, String>, words: &[&str]) {
    let error = result.expect_err(&format!("{words:?} was imported"));
    for word in words {
        assert!(error.contains(word), "no `{word}` in {error}");
    }
}

/// What both packages say of observations, stages and actions is the same.
pub fn same(imported: &Value, exported: &Value) {
    for part in [
        "observations",
        "stages",
        "action",
        "control_hz",
        "precisions",
        "licence",
    ] {
        assert_eq!(imported[part], exported[part], "{part}");
    }
}

/// Imports the graphs of these stages of a fixture.
pub fn import_stages(
    name: &str,
    checkpoint: &Checkpoint,
    stages: &[&str],
    more: &[&str],
) -> Result<Value, String> {
    let dir = tempfile::tempdir().unwrap();
    checkpoint.write(dir.path());
    let files = stages
        .iter()
        .map(|stage| graph(name, &format!("{stage}.onnx")));
    let files: Vec<String> = files.collect();
    let mut args = vec!["import", "--out", "out", "--onnx"];
    args.extend(files.iter().map(String::as_str));
    args.extend(ANSWERS);
    args.extend(more);
    run(dir.path(), &args, &dir.path().join("out"))
}
