//! Any bytes as `policy.json`.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod policy;

fuzz_target!(|data: &[u8]| policy::check(data));
