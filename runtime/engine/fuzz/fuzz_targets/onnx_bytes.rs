//! Any bytes as an ONNX file, within the memory and time that the fuzzer is given.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod bytes;

fuzz_target!(|bytes: &[u8]| bytes::check(bytes));
