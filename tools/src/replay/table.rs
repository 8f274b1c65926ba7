//! A comparison as text.

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use super::compare::{Against, Comparison};

/// A line for each number of an action.
pub fn text(comparison: &Comparison) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["number", "largest difference", "mean", "compared"]);
    for (name, number) in comparison.names.iter().zip(&comparison.numbers) {
        table.add_row([
            name.clone(),
            format!("{:.6}", number.largest),
            format!("{:.6}", number.mean()),
            number.count.to_string(),
        ]);
    }
    let with = match comparison.against {
        Against::Chunks => "the recorded chunks",
        Against::Commands => "the commands of a person",
    };
    let mut text = format!(
        "{table}\n{} chunks of the policy, compared with {with}",
        comparison.chunks
    );
    if comparison.skipped > 0 {
        text += &format!(
            "; {} left out: their frames were not recorded",
            comparison.skipped
        );
    }
    text += "\n";
    if let Some(why) = &comparison.cut_off {
        text += &format!("the recording is cut off ({why}): it was used as far as it is whole\n");
    }
    text
}
