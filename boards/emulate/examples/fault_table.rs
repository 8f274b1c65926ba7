//! Prints what an emulated board does when things go wrong:
//! `fault_table [--json] [nucleo-f411|mps2-an386|pico] [wx250s|so101] [CASE]`, where CASE is a part of a fault's name.

use std::process::ExitCode;

use wink_emulate::faults::{CASES, head, run};
use wink_emulate::{Emulator, Images};
use wink_sim::Setup;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is what it is for"
)]
fn main() -> ExitCode {
    let (options, words): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let as_json = options.iter().any(|option| option == "--json");
    let board = words.first().map_or("nucleo-f411", String::as_str);
    let arm = words.get(1).map_or("wx250s", String::as_str);
    let wanted = words.get(2).map_or("", String::as_str);
    let Some(emulator) = Emulator::named(board) else {
        eprintln!("no board named {board}; there are: {}", Emulator::names());
        return ExitCode::from(2);
    };
    let Some(setup) = Setup::of(arm) else {
        eprintln!("no arm named {arm} has a cell");
        return ExitCode::from(2);
    };
    if !as_json {
        println!("{}", head());
    }
    let mut fine = true;
    for case in CASES.iter().filter(|(fault, _)| fault.contains(wanted)) {
        match run(case, emulator, setup, &Images::find()) {
            Ok(row) => {
                fine &= row.failed.is_empty();
                if as_json {
                    println!("{}", row.json());
                } else {
                    println!("{row}");
                }
            }
            Err(error) => {
                eprintln!("{}: {error}", case.0);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::from(u8::from(!fine))
}
