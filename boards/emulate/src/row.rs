//! The fault table's rows, as text and as JSON.

use std::fmt;

use serde_json::{Value, json};

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was done.
    pub fault: &'static str,
    /// What the board did meanwhile.
    pub meanwhile: String,
    /// What it did once all was well again.
    pub afterwards: String,
    /// How far outside of its limits a joint was or was told to go, rad.
    pub overstep_rad: f64,
    /// Greatest speed of a goal, as a share of the joint's limit.
    pub fastest_share: f64,
    /// What should have been otherwise.
    pub failed: Vec<String>,
}

/// The head of the table.
#[must_use]
pub fn head() -> String {
    format!(
        "{:<42} {:<42} {:<24} {:>10} {:>8}",
        "fault", "meanwhile", "afterwards", "outside", "speed"
    )
}

impl Row {
    /// The same as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "fault": self.fault,
            "meanwhile": self.meanwhile,
            "afterwards": self.afterwards,
            "outside_limits_rad": self.overstep_rad,
            "speed_of_cap": self.fastest_share,
            "failed": self.failed,
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<42} {:<42} {:<24} {:>6.4} rad {:>6.0} %",
            self.fault,
            self.meanwhile,
            self.afterwards,
            self.overstep_rad,
            self.fastest_share * 100.0
        )?;
        for failed in &self.failed {
            write!(f, "\n    FAILED: {failed}")?;
        }
        Ok(())
    }
}
