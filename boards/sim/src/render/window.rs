//! The part of a frame that is looked at.

use super::TILE;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Columns left of it.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Its columns.
    pub width: u32,
    /// Its rows.
    pub height: u32,
}

impl Window {
    /// All of a frame.
    #[must_use]
    pub const fn whole(width: u32, height: u32) -> Self {
        Self {
            left: 0,
            top: 0,
            width,
            height,
        }
    }

    /// Whether it lies inside of a frame of `width` x `height` pixels.
    #[must_use]
    pub fn fits(&self, width: u32, height: u32) -> bool {
        let ends_by = |start: u32, length: u32, end: u32| {
            start.checked_add(length).is_some_and(|last| last <= end)
        };
        ends_by(self.left, self.width, width) && ends_by(self.top, self.height, height)
    }

    pub(super) fn holds(&self, x: usize, y: usize) -> bool {
        let within = |at: usize, start: u32, length: u32| {
            (at as u64)
                .checked_sub(u64::from(start))
                .is_some_and(|past| past < u64::from(length))
        };
        within(x, self.left, self.width) && within(y, self.top, self.height)
    }

    /// Whether a pixel of a tile is in it.
    pub(super) fn meets_tile(&self, column: usize, row: usize) -> bool {
        let meets = |tile: usize, start: u32, length: u32| {
            let (first, start) = ((tile * TILE) as u64, u64::from(start));
            first < start + u64::from(length) && start < first + TILE as u64
        };
        meets(column, self.left, self.width) && meets(row, self.top, self.height)
    }
}
