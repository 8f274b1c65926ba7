//! What every shipped package must do in every precision it ships, on every engine that runs it.

mod cases;

use cases::CASES;
use std::path::{Path, PathBuf};
use wink_runtime::policy::{Execution, OnnxPolicy, Package};

/// An engine in one precision, and the cases it cannot pass, each with the reason.
struct Backend {
    precision: &'static str,
    execution: Execution,
    exceptions: &'static [(&'static str, &'static str)],
}

const BACKENDS: &[Backend] = &[
    Backend {
        precision: "f32",
        execution: Execution::Fused,
        exceptions: &[],
    },
    Backend {
        precision: "int8",
        execution: Execution::Fused,
        exceptions: &[],
    },
    Backend {
        precision: "f32",
        execution: Execution::Plain,
        exceptions: IN_PLAIN_TRACT,
    },
    Backend {
        precision: "int8",
        execution: Execution::Plain,
        exceptions: IN_PLAIN_TRACT,
    },
];

const IN_PLAIN_TRACT: &[(&str, &str)] = &[
    ("agrees_with_the_engine_alone", "it is that engine"),
    ("quantised_products_are_fused", "it fuses nothing"),
];

fn shipped_packages() -> Vec<PathBuf> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let mut found: Vec<PathBuf> = std::fs::read_dir(&models)
        .expect("the models folder")
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.join("policy.json").is_file())
        .collect();
    found.sort();
    found
}

#[test]
fn every_shipped_package_passes_every_case_in_every_precision() {
    let packages = shipped_packages();
    assert!(!packages.is_empty(), "no package under models/");
    for dir in &packages {
        let package = Package::open(dir).expect("a shipped package opens");
        for backend in BACKENDS {
            let name = &package.manifest().name;
            if !package
                .manifest()
                .precisions
                .contains_key(backend.precision)
            {
                eprintln!(
                    "{name}: skipped: it is not shipped in {}",
                    backend.precision
                );
                continue;
            }
            let what = format!("{name} {} {:?}", backend.precision, backend.execution);
            for (case, run) in CASES {
                match backend.exceptions.iter().find(|(name, _)| name == case) {
                    Some((_, why)) => eprintln!("{what}: {case}: skipped: {why}"),
                    None => {
                        eprintln!("{what}: {case}");
                        let policy = OnnxPolicy::load_with(
                            &package,
                            Some(backend.precision),
                            backend.execution,
                        )
                        .expect("it loads");
                        run(&package, policy);
                    }
                }
            }
        }
    }
}
