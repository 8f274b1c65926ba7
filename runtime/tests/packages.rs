//! Every package of this repository gives the values that PyTorch or ONNX Runtime gave when it was exported.

#![cfg(feature = "onnx")]

use std::path::{Path, PathBuf};

use wink_runtime::policy::{OnnxPolicy, Package};

/// The folders with a `policy.json` directly below these.
fn packages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for folder in ["models", "tests/fixtures/policies"] {
        let entries = std::fs::read_dir(root.join(folder)).expect("the folder of packages");
        let folders = entries.map(|entry| entry.expect("an entry").path());
        found.extend(folders.filter(|path| path.join("policy.json").is_file()));
    }
    found.sort();
    found
}

#[test]
fn golden_values_of_every_package_and_precision() {
    let packages = packages();
    assert!(packages.len() >= 4, "{packages:?}");
    let mut off = Vec::new();
    for dir in packages {
        let package = Package::open(&dir).expect("a package");
        for precision in package.manifest().precisions.keys() {
            let policy = match OnnxPolicy::load(&package, Some(precision)) {
                Ok(policy) => policy,
                Err(error) => {
                    off.push(format!("{} {precision}: {error}", dir.display()));
                    continue;
                }
            };
            match policy.check(&package) {
                Ok(Some(report)) => {
                    for value in report.values.iter().filter(|value| !value.passed()) {
                        off.push(format!("{} {precision}: {value:?}", dir.display()));
                    }
                }
                Ok(None) => off.push(format!("{}: no golden values", dir.display())),
                Err(error) => off.push(format!("{} {precision}: {error}", dir.display())),
            }
        }
    }
    assert!(off.is_empty(), "{}", off.join("\n"));
}
