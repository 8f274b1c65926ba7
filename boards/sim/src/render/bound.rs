//! Which primitives can matter where: bit masks over a grid of square cells, on the screen or across the light.
//!
//! A primitive is bounded by its projected corners in eight directions, far tighter than a rectangle for a slanted arm link.

/// Most primitives that a mask can name.
pub(super) const MAX_PRIMITIVES: usize = 64;

/// Unit normals of the bounding polygon's sides: every 22.5 degrees of a half turn.
const SIDES: [[f32; 2]; 8] = [
    [1.0, 0.0],
    [0.923_879_5, 0.382_683_43],
    [0.707_106_77, 0.707_106_77],
    [0.382_683_43, 0.923_879_5],
    [0.0, 1.0],
    [-0.382_683_43, 0.923_879_5],
    [-0.707_106_77, 0.707_106_77],
    [-0.923_879_5, 0.382_683_43],
];

/// A grid of masks: bit i of a cell is set where primitive i may be.
#[derive(Clone, Debug)]
pub(super) struct MaskGrid {
    columns: usize,
    rows: usize,
    cell: f32,
    /// Cells per unit of length.
    per_unit: f32,
    origin: [f32; 2],
    masks: Vec<u64>,
    /// Count of occupied cells above and to the left of each grid corner.
    occupied: Vec<u32>,
}

/// Cells `[x0, x1) x [y0, y1)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellRect {
    pub x: [u16; 2],
    pub y: [u16; 2],
}

impl MaskGrid {
    /// A grid of `columns` x `rows` cells of edge `cell`, its first corner at `origin`. What lies outside belongs to the border cells.
    pub fn new(columns: usize, rows: usize, cell: f32, origin: [f32; 2]) -> Self {
        Self {
            columns,
            rows,
            cell,
            per_unit: 1.0 / cell,
            origin,
            masks: vec![0; columns * rows],
            occupied: vec![0; (columns + 1) * (rows + 1)],
        }
    }

    pub fn clear(&mut self) {
        self.masks.fill(0);
    }

    /// Column and row of a place.
    #[inline]
    pub fn cell_at(&self, place: [f32; 2]) -> [usize; 2] {
        // The casts saturate: what lies before the first cell is counted to it.
        let index = |axis: usize, count: usize| {
            (((place[axis] - self.origin[axis]) * self.per_unit) as usize).min(count - 1)
        };
        [index(0, self.columns), index(1, self.rows)]
    }

    /// The mask at a place.
    #[inline]
    pub fn at(&self, place: [f32; 2]) -> u64 {
        let [x, y] = self.cell_at(place);
        self.mask(x, y)
    }

    #[inline]
    pub fn mask(&self, column: usize, row: usize) -> u64 {
        self.masks[row * self.columns + column]
    }

    /// Marks the cells that the convex hull of `points` may touch.
    pub fn mark(&mut self, primitive: usize, points: &[[f32; 2]]) {
        let along = |side: [f32; 2], point: [f32; 2]| side[0] * point[0] + side[1] * point[1];
        let mut spans = [[f32::INFINITY, f32::NEG_INFINITY]; SIDES.len()];
        for (span, side) in spans.iter_mut().zip(SIDES) {
            for &point in points {
                let at = along(side, point);
                span[0] = span[0].min(at);
                span[1] = span[1].max(at);
            }
        }
        let [x0, y0] = self.cell_at([spans[0][0], spans[4][0]]);
        let [x1, y1] = self.cell_at([spans[0][1], spans[4][1]]);
        let bit = 1 << primitive;
        // Half a cell's diagonal, and a little for rounding.
        let slack = 0.7072 * self.cell;
        for y in y0..=y1 {
            for x in x0..=x1 {
                let inside = [x, y]
                    .iter()
                    .zip([self.columns, self.rows])
                    .all(|(&i, count)| i > 0 && i + 1 < count);
                let centre = [
                    self.origin[0] + (x as f32 + 0.5) * self.cell,
                    self.origin[1] + (y as f32 + 0.5) * self.cell,
                ];
                let apart = inside
                    && spans.iter().zip(SIDES).any(|(span, side)| {
                        let at = along(side, centre);
                        at < span[0] - slack || at > span[1] + slack
                    });
                if !apart {
                    self.masks[y * self.columns + x] |= bit;
                }
            }
        }
    }

    /// Marks every cell.
    pub fn mark_all(&mut self, primitive: usize) {
        for mask in &mut self.masks {
            *mask |= 1 << primitive;
        }
    }

    /// Counts the occupied cells, for [`Self::is_empty`].
    pub fn count(&mut self) {
        let stride = self.columns + 1;
        for y in 0..self.rows {
            let mut in_row = 0;
            for x in 0..self.columns {
                in_row += u32::from(self.masks[y * self.columns + x] != 0);
                self.occupied[(y + 1) * stride + x + 1] =
                    self.occupied[y * stride + x + 1] + in_row;
            }
        }
    }

    /// Whether no cell of the rectangle was occupied at the last [`Self::count`].
    pub fn is_empty(&self, rect: CellRect) -> bool {
        let stride = self.columns + 1;
        let count = |x: u16, y: u16| self.occupied[usize::from(y) * stride + usize::from(x)];
        let [x0, x1] = rect.x;
        let [y0, y1] = rect.y;
        count(x1, y1) + count(x0, y0) == count(x0, y1) + count(x1, y0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slanted_bar_marks_its_own_cells_only() {
        let mut grid = MaskGrid::new(20, 20, 1.0, [0.0, 0.0]);
        grid.mark(5, &[[2.0, 2.0], [3.0, 2.0], [16.0, 16.0], [17.0, 16.0]]);
        grid.count();
        for step in 0..=28 {
            let at = 2.0 + step as f32 * 0.5;
            assert_eq!(grid.at([at, at]), 1 << 5, "{at}");
        }
        assert_eq!((grid.at([2.5, 16.0]), grid.at([16.0, 2.5])), (0, 0));
        assert!(grid.is_empty(CellRect {
            x: [12, 20],
            y: [0, 8]
        }));
        assert!(!grid.is_empty(CellRect {
            x: [8, 12],
            y: [8, 12]
        }));
        grid.clear();
        grid.count();
        assert!(grid.is_empty(CellRect {
            x: [0, 20],
            y: [0, 20]
        }));
    }

    #[test]
    fn what_lies_outside_is_kept_at_the_border() {
        let mut grid = MaskGrid::new(4, 4, 1.0, [0.0, 0.0]);
        grid.mark(0, &[[9.0, 1.5], [10.0, 1.5]]);
        assert_eq!(grid.at([50.0, 1.2]), 1);
        assert_eq!(grid.at([2.5, 1.2]), 0);
    }
}
