//! Small graphs of random operators against a slow reference.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod graphs;

fuzz_target!(|bytes: &[u8]| graphs::check(bytes));
