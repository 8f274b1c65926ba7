//! The seeds of the fuzz target hold without a fuzzer, too.

use std::path::Path;

#[path = "../fuzz/fuzz_targets/policy/mod.rs"]
mod policy;

#[test]
fn seeds_of_manifest() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/manifest");
    let mut count = 0;
    for seed in std::fs::read_dir(folder).expect("the folder of seeds") {
        let path = seed.expect("a seed").path();
        eprintln!("{}", path.display());
        policy::check(&std::fs::read(&path).expect("a readable seed"));
        count += 1;
    }
    assert!(count > 0);
}
