//! Policy packages on the command line: a good one runs, and each way of being broken is told in one line.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use common::{names, text, wink, wink_ok};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny")
}

/// A copy of the package to break.
struct Package {
    dir: PathBuf,
}

impl Package {
    fn copy_to(dir: &Path) -> Self {
        fs::create_dir(dir).unwrap();
        for name in names(&fixture()) {
            fs::copy(fixture().join(&name), dir.join(&name)).unwrap();
        }
        Self {
            dir: dir.to_owned(),
        }
    }

    fn manifest(&self, edit: impl FnOnce(&mut Value)) {
        let path = self.dir.join("policy.json");
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut manifest);
        fs::write(path, manifest.to_string()).unwrap();
    }

    /// Changes a file without telling the manifest.
    fn tamper(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let path = self.dir.join(name);
        let mut bytes = fs::read(&path).unwrap();
        edit(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    /// Changes a file and lists its new size and hash.
    fn replace(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        self.tamper(name, edit);
        let bytes = fs::read(self.dir.join(name)).unwrap();
        let hash: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.manifest(|manifest| {
            manifest["files"][name] = json!({"bytes": bytes.len(), "sha256": hash})
        });
    }
}

fn swap(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .unwrap();
    bytes[at..at + from.len()].copy_from_slice(to);
}

#[test]
fn a_network_runs_and_its_rows_do_not_depend_on_the_threads() {
    let dir = tempfile::tempdir().unwrap();
    let package = fixture().display().to_string();
    for (out, jobs) in [("one", "1"), ("three", "3")] {
        let args = [
            "eval",
            "--policy",
            &package,
            "--split",
            "val",
            "--controls",
            "other_label,nonsense",
            "--episodes",
            "3",
            "--jobs",
            jobs,
            "--out",
            out,
        ];
        wink_ok(dir.path(), &args);
    }
    let rows = |out: &str| fs::read(dir.path().join(out).join("episodes.parquet")).unwrap();
    assert!(rows("one") == rows("three"));
    let report: Value =
        serde_json::from_slice(&fs::read(dir.path().join("one/report.json")).unwrap()).unwrap();
    assert_eq!(report["policy"], "tiny 0.0.1");
    assert_eq!(report["precision"], "f32");
    // It is asked every second tick and never gets the cube onto a card: three episodes of 200 ticks a row.
    assert_eq!(report["splits"]["val"]["execution"]["k"], 0);
    assert_eq!(report["latency_us"]["tick"]["n"], 3 * 3 * 200);
    assert_eq!(report["latency_us"]["policy"]["n"], 3 * 3 * 100);
}

#[test]
fn a_rate_that_the_simulator_cannot_keep_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let package = Package::copy_to(&dir.path().join("package"));
    package.manifest(|manifest| manifest["control_hz"] = json!(30));
    let args = [
        "eval",
        "--policy",
        "package",
        "--split",
        "val",
        "--controls",
        "none",
        "--episodes",
        "1",
    ];
    let output = wink(dir.path(), &args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for word in ["30 Hz", "steps of 10000 us", "100 Hz"] {
        assert!(stderr.contains(word), "no `{word}` in {stderr}");
    }
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

type Breakage = (&'static str, fn(&Package), &'static [&'static str]);

#[test]
fn a_broken_package_is_told_in_one_line() {
    let table: &[Breakage] = &[
        (
            "file missing",
            |p| fs::remove_file(p.dir.join("act.onnx")).unwrap(),
            &["act.onnx"],
        ),
        (
            "truncated",
            |p| p.tamper("act.onnx", |bytes| bytes.truncate(1000)),
            &["act.onnx", "1000 bytes"],
        ),
        (
            "one bit",
            |p| p.tamper("act.onnx", |bytes| bytes[500] ^= 1),
            &["act.onnx", "SHA-256"],
        ),
        (
            "unknown op",
            |p| p.replace("act.onnx", |bytes| swap(bytes, b"MatMul", b"MatMux")),
            &["act.onnx", "MatMux"],
        ),
        (
            "not ONNX",
            |p| p.replace("act.onnx", |bytes| bytes.fill(b'?')),
            &["act.onnx"],
        ),
        (
            "wrong shape",
            |p| {
                p.manifest(|m| {
                    m["observations"]["cameras"][0]["transform"][0]["resize"]["width"] = json!(5)
                })
            },
            &["act.onnx", "image"],
        ),
        (
            "wrong chunk",
            |p| p.manifest(|m| m["action"]["chunk"] = json!(5)),
            &["policy.json", "`action.chunk`", "4 steps"],
        ),
        (
            "other format",
            |p| p.manifest(|m| m["format"] = json!(9)),
            &["policy.json", "format 9"],
        ),
        (
            "path outside",
            |p| {
                p.manifest(|m| m["observations"]["text"]["tokenizer"] = json!("../tokenizer.json"));
            },
            &["policy.json"],
        ),
        (
            "actions of joints",
            |p| p.manifest(|m| m["action"]["space"] = json!("joint_position")),
            &["--policy package", "dx, dy", "the arm wx250s has [waist"],
        ),
        (
            "another camera",
            |p| {
                p.manifest(|m| {
                    m["observations"]["cameras"][0]["name"] = json!("observation.images.top");
                    m["stages"][1]["inputs"]["image"] = json!("observation.images.top");
                });
            },
            &["observation.images.top", "given observation.images.front"],
        ),
        (
            "another unit",
            |p| p.manifest(|m| m["observations"]["states"][0]["units"][3] = json!("degrees")),
            &["roll", "degrees", "rad"],
        ),
        (
            "no tokenizer",
            |p| p.replace("tokenizer.json", |bytes| bytes.truncate(50)),
            &["tokenizer.json"],
        ),
        (
            "instruction longer than the tokenizer takes",
            |p| {
                p.replace("tokenizer.json", |bytes| {
                    let mut tokenizer: Value = serde_json::from_slice(bytes).unwrap();
                    // Every letter a token.
                    tokenizer["pre_tokenizer"] =
                        json!({"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": false});
                    *bytes = tokenizer.to_string().into_bytes();
                });
            },
            &["tokens", "at most 24", "pick the block"],
        ),
    ];
    for (what, break_it, told) in table {
        let dir = tempfile::tempdir().unwrap();
        let package = Package::copy_to(&dir.path().join("package"));
        break_it(&package);
        let output = wink(
            dir.path(),
            &[
                "eval",
                "--policy",
                "package",
                "--episodes",
                "1",
                "--out",
                "out",
            ],
        );
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{what}: {stderr}");
        for word in *told {
            assert!(stderr.contains(word), "{what}: no `{word}` in {stderr}");
        }
        assert_eq!(names(dir.path()), ["package"], "{what}");
    }
}

#[test]
fn a_precision_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let package = fixture().display().to_string();
    let output = wink(
        dir.path(),
        &[
            "eval",
            "--policy",
            &package,
            "--precision",
            "int8",
            "--episodes",
            "1",
        ],
    );
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    for word in ["int8", "f32", "--policy"] {
        assert!(stderr.contains(word), "no `{word}` in {stderr}");
    }
}
