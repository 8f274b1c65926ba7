//! The statistics of reports.

mod difference;
mod metric;
mod paired;
mod percentiles;
mod proportion;
mod spread;

pub use difference::Difference;
pub use metric::Metric;
pub use paired::{Paired, holm};
pub use percentiles::{Percentiles, nearest_rank};
pub use proportion::Proportion;
pub use spread::Spread;
