//! What the user can put right: told in one line, exit code 2.

use std::fmt;

use anyhow::Error;

/// Marks an error as caused by what the user gave (an argument, a file, a folder), not by a fault of ours.
#[derive(Debug)]
struct BadInput;

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad input")
    }
}

impl std::error::Error for BadInput {}

/// An error with this message that ends the program with exit code 2.
pub fn bad_input(message: impl fmt::Display) -> Error {
    Error::new(BadInput).context(message.to_string())
}

/// Turns any error into bad input, keeping its chain of causes in the message.
pub fn as_bad_input(error: impl Into<Error>) -> Error {
    bad_input(chain(&error.into()))
}

/// The exit code that tells a script whose fault it was: 2 for bad input, 1 for everything else.
pub fn exit_code(error: &Error) -> u8 {
    if error.downcast_ref::<BadInput>().is_some() || error.downcast_ref::<clap::Error>().is_some() {
        2
    } else {
        1
    }
}

/// The whole error in one line: what went wrong, then why, outermost first.
pub fn one_line(error: &Error) -> String {
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        return usage_line(&usage.to_string());
    }
    chain(error)
}

fn chain(error: &Error) -> String {
    let mut line = String::new();
    for cause in error.chain().filter(|cause| !cause.is::<BadInput>()) {
        let cause = flatten(&cause.to_string());
        // Many libraries repeat their source in their own message.
        if line.ends_with(&cause) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&cause);
    }
    line
}

/// clap explains itself in paragraphs: keep what is wrong and its tip, leave out the usage.
fn usage_line(message: &str) -> String {
    let told: Vec<&str> = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let line = told.join(" ");
    format!(
        "{}; see --help",
        line.strip_prefix("error: ").unwrap_or(&line)
    )
}

fn flatten(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn one_line_however_many_causes() {
        let io = std::io::Error::other("disk\nfull");
        let error = Error::new(io).context("writing report.json");
        assert_eq!(one_line(&error), "writing report.json: disk full");
        assert_eq!(exit_code(&error), 1);

        let bad = as_bad_input(error).context("--out out/x");
        assert_eq!(
            one_line(&bad),
            "--out out/x: writing report.json: disk full"
        );
        assert_eq!(exit_code(&bad), 2);
    }

    #[test]
    fn the_mark_survives_context() {
        let bad: Result<(), _> = Err(bad_input("no such folder")).context("models/x");
        let bad = bad.expect_err("an error");
        assert_eq!(exit_code(&bad), 2);
        assert_eq!(one_line(&bad), "models/x: no such folder");
    }

    #[test]
    fn usage_is_one_line() {
        let told = usage_line(
            "error: invalid value 'x' for '--split <SPLIT>'\n  [possible values: id, train]\n\n  tip: use id\n\nUsage: wink eval\n\nFor more information, try '--help'.\n",
        );
        assert_eq!(
            told,
            "invalid value 'x' for '--split <SPLIT>' [possible values: id, train] tip: use id; see --help"
        );
    }
}
