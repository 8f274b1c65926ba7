//! The figures of a sweep against latency, a line for each scheduler and precision.

use super::{Cell, Figures, Sweep};
use crate::plot::canvas::{Anchor, Canvas, GREY};
use crate::plot::scale::Scale;

const COLOURS: [&str; 8] = [
    "#2f81f7", "#cf6f1c", "#2a8a4a", "#a33ea1", "#c2413a", "#7d8894", "#0f8f94", "#b08800",
];
const LEFT: f64 = 70.0;
const TOP: f64 = 30.0;
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 180.0;
const LEGEND: f64 = 200.0;
const LINE: f64 = 18.0;

/// A figure to plot.
pub struct Quantity {
    /// Its name in a file's.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    of: fn(&Figures) -> Option<f64>,
    /// Values that the axis covers in any case.
    covers: &'static [f64],
}

/// All figures.
pub const QUANTITIES: [Quantity; 5] = [
    Quantity {
        name: "success",
        title: "success, %",
        of: |figures| figures.sr.value.map(|value| 100.0 * value),
        covers: &[0.0, 100.0],
    },
    Quantity {
        name: "execution",
        title: "execution, %",
        of: |figures| figures.execution.value.map(|value| 100.0 * value),
        covers: &[0.0, 100.0],
    },
    Quantity {
        name: "recognition",
        title: "recognition, %",
        of: |figures| figures.recognition.value.map(|value| 100.0 * value),
        covers: &[0.0, 100.0],
    },
    Quantity {
        name: "jerk",
        title: "jerk of the tool's path, m/s^3 (rms)",
        of: |figures| Some(figures.jerk_m_s3),
        covers: &[0.0],
    },
    Quantity {
        name: "finish",
        title: "time to finish, s",
        of: |figures| figures.finish_s,
        covers: &[0.0],
    },
];

/// All plots, one below the other.
pub fn all(sweep: &Sweep) -> String {
    QUANTITIES
        .iter()
        .map(|quantity| plot(sweep, quantity))
        .collect()
}

/// One plot.
pub fn plot(sweep: &Sweep, quantity: &Quantity) -> String {
    let lines = sweep.lines();
    let (right, bottom) = (LEFT + WIDTH, TOP + HEIGHT);
    let height = (bottom + 45.0).max(TOP + LINE * lines.len() as f64);
    let mut canvas = Canvas::new(right + LEGEND, height);
    let ms = |cell: &Cell| cell.latency_us as f64 / 1e3;
    let x = Scale::covering(sweep.cells.iter().map(ms), 1.0, [LEFT, right]);
    let values = sweep.cells.iter().filter_map(|cell| {
        let figures = cell.figures.as_ref()?;
        (quantity.of)(figures)
    });
    let covers = quantity.covers.iter().copied();
    let y = Scale::covering(values.chain(covers), 1e-6, [bottom, TOP]);
    canvas.text([LEFT, 12.0], Anchor::Start, GREY, quantity.title);
    for (words, at) in y.ticks(5) {
        canvas.line([LEFT, at], [right, at], GREY, 1.0, 0.2);
        canvas.text([LEFT - 8.0, at], Anchor::End, GREY, &words);
    }
    for (words, at) in x.ticks(8) {
        canvas.line([at, TOP], [at, bottom], GREY, 1.0, 0.2);
        canvas.text([at, bottom + 12.0], Anchor::Middle, GREY, &words);
    }
    let middle = [(LEFT + right) / 2.0, bottom + 32.0];
    canvas.text(middle, Anchor::Middle, GREY, "latency, ms");
    for (place, (scheduler, precision, cells)) in lines.iter().enumerate() {
        let name = match precision {
            Some(precision) => format!("{scheduler}, {precision}"),
            None => (*scheduler).to_owned(),
        };
        let colour = COLOURS[place % COLOURS.len()];
        let points: Vec<[f64; 2]> = cells
            .iter()
            .filter_map(|cell| {
                let value = (quantity.of)(cell.figures.as_ref()?)?;
                Some([x.at(ms(cell)), y.at(value)])
            })
            .collect();
        canvas.through(&points, colour, 1.5);
        for point in &points {
            canvas.disc(*point, 2.5, colour);
        }
        let at = [right + 14.0, TOP + LINE * place as f64];
        canvas.text(at, Anchor::Start, colour, &name);
    }
    canvas.finish()
}
