//! The fuzz targets without a fuzzer: their seeds, what the fuzzer found among them, and inputs that a generator draws from those.

use std::fs;
use std::path::Path;

#[path = "../fuzz/fuzz_targets/bytes/mod.rs"]
mod bytes;
#[path = "../fuzz/fuzz_targets/graphs/mod.rs"]
mod graphs;

/// The seeds of a target with their names, in the order of these.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let files = fs::read_dir(folder.join(target)).expect("the target has a folder of seeds");
    let mut seeds: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let path = file.expect("a seed").path();
            let bytes = fs::read(&path).expect("a readable seed");
            (path.display().to_string(), bytes)
        })
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty());
    seeds
}

/// Inputs to draw; FUZZ_CASES=100000 draws more of them.
fn cases() -> u64 {
    let given = std::env::var("FUZZ_CASES").ok();
    given.map_or(300, |cases| cases.parse().expect("a number"))
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    /// Bytes overwritten, inserted, left out, or replaced by a piece of another file.
    fn edit(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        let value = [self.next() as u8, 0, 1, 0x7f, 0x80, 0xff][self.below(6)];
        match self.below(5) {
            0 | 1 if at < bytes.len() => bytes[at] = value,
            2 => bytes.insert(at, value),
            3 => drop(bytes.drain(at..(at + 1 + self.below(4)).min(bytes.len()))),
            _ => {
                let from = self.below(other.len());
                let piece = &other[from..(from + 1 + self.below(24)).min(other.len())];
                let until = (at + self.below(24)).min(bytes.len());
                bytes.splice(at..until, piece.iter().copied());
            }
        }
    }
}

#[test]
fn seeds_of_onnx_bytes() {
    for (name, seed) in seeds("onnx_bytes") {
        eprintln!("{name}");
        bytes::check(&seed);
    }
}

#[test]
fn seeds_of_small_graphs() {
    for (name, seed) in seeds("small_graphs") {
        eprintln!("{name}");
        graphs::check(&seed);
    }
}

#[test]
fn edited_files() {
    let seeds = seeds("onnx_bytes");
    for number in 0..cases() {
        let mut random = Random(number);
        let mut file = seeds[random.below(seeds.len())].1.clone();
        for _ in 0..1 + random.below(6) {
            let other = random.below(seeds.len());
            random.edit(&mut file, &seeds[other].1);
        }
        eprintln!("edited file {number}");
        bytes::check(&file);
    }
}

#[test]
fn random_graphs() {
    for number in 0..cases() {
        let mut random = Random(number);
        let length = 4 + random.below(40);
        let choices: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        eprintln!("random graph {number}");
        graphs::check(&choices);
    }
}
