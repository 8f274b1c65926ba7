//! The cameras, as `wink cameras` measures them.

use anyhow::Result;
use clap::{Args as _, FromArgMatches};
use serde_json::{Value, json};

use super::{Dialogue, Place};
use crate::bad_input::one_line;
use crate::cameras;

/// Measures every camera of this computer.
pub fn run(place: &Place) -> Result<()> {
    let mut given = vec!["cameras".to_owned()];
    given.extend(["--boards".to_owned(), place.boards.display().to_string()]);
    if place.json {
        given.push("--json".to_owned());
    }
    let command = cameras::Args::augment_args(clap::Command::new("cameras"));
    let matches = command.try_get_matches_from(given)?;
    cameras::run(&cameras::Args::from_arg_matches(&matches)?)
}

/// The same as a step among others: an arm moves without its cameras.
pub fn step(place: &Place, dialogue: &mut Dialogue) -> Result<Value> {
    if place.json {
        dialogue.tell("`wink cameras --json` measures the cameras.")?;
        return Ok(json!({ "measured": false }));
    }
    let answer = dialogue.ask("Plug in the cameras. Then press Enter, or answer `skip`.")?;
    if !answer.is_empty() {
        return Ok(json!({ "measured": false }));
    }
    let outcome = run(place);
    if let Err(error) = &outcome {
        dialogue.tell(&format!(
            "{}. The arm is set up without; `wink cameras` measures them later.",
            one_line(error)
        ))?;
    }
    Ok(json!({ "measured": outcome.is_ok() }))
}
