//! Prints what an emulated board does when things go wrong: `fault_table [nucleo-f411|mps2-an386|pico] [CASE]`.

use std::process::ExitCode;

use wink_emulate::faults::{CASES, run, table};
use wink_emulate::{Emulator, Images};

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let board = arguments.next().unwrap_or_else(|| "nucleo-f411".to_owned());
    let wanted = arguments.next().unwrap_or_default();
    let Some(emulator) = Emulator::named(&board) else {
        println!("no board named {board}; there are: {}", Emulator::names());
        return ExitCode::from(2);
    };
    let mut rows = vec![];
    for case in CASES.iter().filter(|(fault, _)| fault.contains(&wanted)) {
        match run(case, emulator, &Images::find()) {
            Ok(row) => rows.push(row),
            Err(error) => {
                println!("{}: {error}", case.0);
                return ExitCode::FAILURE;
            }
        }
    }
    print!("{}", table(&rows));
    let failed = rows.iter().any(|row| !row.failed.is_empty());
    ExitCode::from(u8::from(failed))
}
