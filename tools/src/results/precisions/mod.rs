//! One policy in several precisions, on the same episodes: what each forgets.

mod emojis;
mod goals;
mod plan;
mod tables;
mod variants;

use std::path::Path;

use anyhow::Result;

pub use emojis::{Emoji, Forgotten};
pub use goals::{Goal, GoalTest};
pub use tables::{PairTable, Precisions, VariantTable};

/// The folder beside the reports.
const FOLDER: &str = "precisions";

/// The figures of `precisions/` beside the folder of reports; `None` where there is no such folder, or nothing in it.
pub fn read(reports: &Path) -> Result<Option<Precisions>> {
    let dir = reports.with_file_name(FOLDER);
    if !dir.is_dir() {
        return Ok(None);
    }
    let plan = plan::Plan::read(&dir)?;
    let variants = variants::read(&dir, &plan)?;
    Ok((!variants.is_empty()).then(|| Precisions::of(&plan, &variants)))
}
