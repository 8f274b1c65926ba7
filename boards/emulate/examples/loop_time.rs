//! Prints how long the control loop of emulated boards takes at most, in instructions (QEMU) or cycles (rp2040js), and how deep
//! its stack goes, with each arm: `loop_time [--json] [nucleo-f411|mps2-an386|pico]...`, all of them unless named.

use std::process::ExitCode;

use wink_emulate::loop_time::LoopTime;
use wink_emulate::{Emulator, Images};
use wink_sim::setup;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is what it is for"
)]
fn main() -> ExitCode {
    let (options, names): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let mut boards = vec![];
    for name in &names {
        match Emulator::named(name) {
            Some(emulator) => boards.push(emulator),
            None => {
                eprintln!("no board named {name}; there are: {}", Emulator::names());
                return ExitCode::from(2);
            }
        }
    }
    if boards.is_empty() {
        boards.extend(Emulator::ALL);
    }
    let arms = |emulator| setup::ALL.map(|setup| (emulator, setup));
    for (emulator, setup) in boards.into_iter().flat_map(arms) {
        match LoopTime::measure(emulator, setup, &Images::find()) {
            Ok(measured) if options.iter().any(|option| option == "--json") => {
                println!("{}", measured.json());
            }
            Ok(measured) => println!("{measured}"),
            Err(error) => {
                eprintln!("{emulator}, {}: {error}", setup.name);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
