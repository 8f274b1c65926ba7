//! Suites that are written once and run on every board and engine.
//!
//! The suites are the integration tests in `tests/`: one folder each, with a file of cases that know only the runtime's
//! traits, and a list of backends, each with its own exceptions. `boards` runs on the simulated board, on the Linux board's
//! firmware thread, and (ignored without `boards/build.sh`) on every emulated image; `engines` runs on every shipped package,
//! in every precision, fused and in plain tract. What concerns one crate alone is tested in that crate.
