//! Running the commands of a plan, and what their complaints mean.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::board_file::Flash;
use super::plan::Call;
use crate::bad_input::bad_input;

/// Runs a command with its output passed through, and returns what it said on standard error if it
/// failed.
pub fn run(call: &Call) -> Result<Result<(), String>> {
    let mut command = Command::new(call.program);
    let environment = call.environment.iter().map(|(name, value)| (name, value));
    command
        .args(&call.arguments)
        .envs(environment)
        .stderr(Stdio::piped());
    if let Some(folder) = &call.folder {
        command.current_dir(folder);
    }
    let mut child = command.spawn().map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            bad_input(missing(call.program))
        } else {
            anyhow::Error::new(error).context(format!("running {}", call.program))
        }
    })?;
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line.with_context(|| format!("reading from {}", call.program))?;
            let _ = writeln!(std::io::stderr(), "{line}");
            said.push_str(&line);
            said.push('\n');
        }
    }
    let status = child
        .wait()
        .with_context(|| format!("waiting for {}", call.program))?;
    Ok(if status.success() { Ok(()) } else { Err(said) })
}

fn missing(program: &str) -> String {
    match program {
        "probe-rs" => {
            "probe-rs is not installed: `cargo install probe-rs-tools --locked`, or see https://probe.rs"
                .to_owned()
        }
        _ => format!("{program} is not installed, or not in PATH"),
    }
}

/// What a failed build means.
pub fn explain_build(said: &str, target: &str) -> String {
    if said.contains("can't find crate for `core`") {
        format!("the image was not built: Rust's {target} is missing, `rustup target add {target}`")
    } else {
        "the image was not built: see above".to_owned()
    }
}

/// What probe-rs means, and what to do.
pub fn explain_probe(said: &str, chip: &str, flash: &Flash) -> String {
    let lower = said.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["permission", "access denied", "insufficient perm"]) {
        return format!(
            "the probe may not be opened: add\n{}\nto /etc/udev/rules.d/69-wink.rules, then `sudo udevadm control --reload && sudo udevadm trigger` and plug it in again",
            udev_rules(flash)
        );
    }
    if says(&[
        "no connected probe",
        "no probe was found",
        "no probes were found",
        "probe was not found",
        "no debug probe",
    ]) {
        return "no debug probe was found: is the board plugged in, with a cable that carries data? `probe-rs list` shows those that are".to_owned();
    }
    if says(&["multiple probes", "more than one probe", "ambiguous"]) {
        return "several debug probes are plugged in: choose one with --probe (`probe-rs list` shows them)".to_owned();
    }
    if says(&[
        "chip was not found",
        "unknown chip",
        "idcode",
        "id code",
        "chip id",
        "unexpected target",
        "does not match",
        "wrong chip",
        "no core",
    ]) {
        return format!(
            "the chip at the probe does not answer as a {chip} does: is this the right --board? (`probe-rs info` says what is there)"
        );
    }
    if says(&["verif"]) {
        return "what was read back from the flash is not what was written: flash again; if that does not help, check cable and supply".to_owned();
    }
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    format!(
        "probe-rs failed: {}",
        last.unwrap_or("it said nothing").trim()
    )
}

/// Rules that let the user at the desk open the board's probes.
pub fn udev_rules(flash: &Flash) -> String {
    let rules: Vec<String> = flash
        .probes
        .iter()
        .filter_map(|id| id.split_once(':'))
        .map(|(vendor, product)| {
            format!(
                "SUBSYSTEM==\"usb\", ATTR{{idVendor}}==\"{vendor}\", ATTR{{idProduct}}==\"{product}\", MODE=\"0660\", TAG+=\"uaccess\""
            )
        })
        .collect();
    rules.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::board_file::Board;
    use std::path::Path;

    #[test]
    fn complaints_become_advice() {
        let boards = concat!(env!("CARGO_MANIFEST_DIR"), "/../boards");
        let board = Board::find(Path::new(boards), "nucleo-f411").unwrap();
        let cases = [
            ("Error: No connected probes were found.", "plugged in"),
            (
                "Error: Failed to open probe: USB error: Permission denied (os error 13)",
                "ATTR{idVendor}==\"0483\", ATTR{idProduct}==\"374b\"",
            ),
            ("Error: Multiple probes found", "--probe"),
            (
                "Error: The chip 'STM32F9' was not found: chip was not found in the database",
                "--board",
            ),
            (
                "WARN x\nError: Verification of the flash failed",
                "read back",
            ),
            (
                "\nError: the moon is full\n\n",
                "probe-rs failed: Error: the moon is full",
            ),
            ("", "it said nothing"),
        ];
        for (said, expected) in cases {
            let told = explain_probe(said, "STM32F411RETx", &board.file.flash);
            assert!(told.contains(expected), "\"{told}\" lacks \"{expected}\"");
        }
        let told = explain_build(
            "error[E0463]: can't find crate for `core`",
            "thumbv6m-none-eabi",
        );
        assert!(
            told.contains("rustup target add thumbv6m-none-eabi"),
            "{told}"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let call = Call {
            program: "wink-no-such-program",
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
        };
        let error = run(&call).unwrap_err().to_string();
        assert!(
            error.contains("wink-no-such-program is not installed"),
            "{error}"
        );
    }
}
