//! The statistics of reports.

mod difference;
mod metric;
mod paired;
mod percentiles;
mod proportion;

pub use difference::Difference;
pub use metric::Metric;
pub use paired::{Paired, holm};
pub use percentiles::Percentiles;
pub use proportion::Proportion;
