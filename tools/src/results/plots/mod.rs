//! The page's plots. Colours are readable on white and on black; the same figures give the same bytes.

mod axis;
pub mod latency;
mod recognition_execution;
mod train_val;

use super::tables::{Tables, WayTable};

/// Recognition against execution on unseen cards.
pub const RECOGNITION_EXECUTION: &str = "recognition_execution.svg";
/// Recognition on train and on val.
pub const TRAIN_VAL: &str = "train_val.svg";

/// A picture of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plot {
    /// Its file.
    pub file: String,
    /// What it shows, for those who do not see it.
    pub alt: String,
    /// The picture.
    pub svg: String,
}

/// All plots for which there are figures.
pub fn all(tables: &Tables) -> Vec<Plot> {
    let of_ways = [recognition_execution::plot(tables), train_val::plot(tables)];
    let of_ways = of_ways.into_iter().flatten();
    of_ways
        .chain(tables.latency.iter().flat_map(latency::plots))
        .collect()
}

/// How a way is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Main,
    Baseline,
    Other,
}

impl Role {
    fn of(tables: &Tables, way: &WayTable) -> Self {
        let none_is_main = tables.ways.iter().all(|way| !way.main);
        if tables.baseline.as_deref() == Some(&way.way) {
            Self::Baseline
        } else if way.main || none_is_main {
            Self::Main
        } else {
            Self::Other
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Main => "#2f81f7",
            Self::Baseline => "#cf6f1c",
            Self::Other => "#7d8894",
        }
    }
}
