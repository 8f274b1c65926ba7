//! Drawing plots as SVG: shapes and words at places, and axes.

pub mod canvas;
pub mod scale;
