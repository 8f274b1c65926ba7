//! Plots of the open-loop check: recorded and predicted actions over time, and errors over the chunk.

use super::report::{Number, Report};
use crate::plot::canvas::{Anchor, Canvas, GREY};
use crate::plot::scale::Scale;

const RECORDED: &str = "#7d8894";
const PREDICTED: &str = "#2f81f7";
const MEAN: &str = "#2f81f7";
const ROOT_MEAN_SQUARE: &str = "#cf6f1c";
const LEFT: f64 = 70.0;
const TOP: f64 = 30.0;
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 120.0;
const BELOW: f64 = 40.0;

/// One episode's actions.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The episode's number.
    pub episode: u64,
    /// A row of numbers for each frame.
    pub recorded: Vec<Vec<f32>>,
    /// The executed part of each chunk: its first frame, and a row of numbers for each step.
    pub predicted: Vec<(usize, Vec<Vec<f32>>)>,
}

/// The number at `place` over the time of an episode.
pub fn trace(trace: &Trace, place: usize, number: &Number, fps: f64) -> String {
    let of = |row: &Vec<f32>| f64::from(row[place]);
    let recorded: Vec<f64> = trace.recorded.iter().map(of).collect();
    let chunks: Vec<(usize, Vec<f64>)> = trace
        .predicted
        .iter()
        .map(|(start, rows)| (*start, rows.iter().map(of).collect()))
        .collect();
    let values = recorded
        .iter()
        .chain(chunks.iter().flat_map(|(_, values)| values));
    let last = (recorded.len().max(2) - 1) as f64 / fps;
    let mut plot = Plot::new(
        &format!("{}, {}", number.name, number.unit),
        Scale::covering([0.0, last], 0.0, [LEFT, LEFT + WIDTH]),
        Scale::covering(values.copied(), 1e-6, [TOP + HEIGHT, TOP]),
        "seconds",
    );
    plot.legend(&[("recorded", RECORDED), ("predicted", PREDICTED)]);
    let seconds = |frame: usize| frame as f64 / fps;
    plot.line(
        recorded.iter().enumerate().map(|(f, v)| (seconds(f), *v)),
        RECORDED,
    );
    for (start, values) in &chunks {
        let points = values.iter().enumerate();
        plot.line(
            points.map(|(step, v)| (seconds(start + step), *v)),
            PREDICTED,
        );
    }
    plot.canvas.finish()
}

/// The errors of a number over the steps of the chunk.
pub fn by_step(number: &Number, report: &Report) -> String {
    let largest = number.by_step.iter().map(|error| error.rms);
    let last = (report.chunk.max(2) - 1) as f64;
    let mut plot = Plot::new(
        &format!("{}, {}", number.name, number.unit),
        Scale::covering([0.0, last], 0.0, [LEFT, LEFT + WIDTH]),
        Scale::covering(largest.chain([0.0]), 1e-6, [TOP + HEIGHT, TOP]),
        "step of the chunk",
    );
    plot.legend(&[("mean absolute error", MEAN), ("rms", ROOT_MEAN_SQUARE)]);
    let steps = || number.by_step.iter().enumerate();
    plot.line(steps().map(|(step, error)| (step as f64, error.mae)), MEAN);
    plot.line(
        steps().map(|(step, error)| (step as f64, error.rms)),
        ROOT_MEAN_SQUARE,
    );
    let executed = plot.x.at(report.execute as f64 - 0.5);
    if report.execute < report.chunk {
        plot.canvas
            .dashed([executed, TOP], [executed, TOP + HEIGHT], GREY);
    }
    plot.canvas.finish()
}

/// Axes with lines between them.
struct Plot {
    canvas: Canvas,
    x: Scale,
    y: Scale,
}

impl Plot {
    fn new(title: &str, x: Scale, y: Scale, below: &str) -> Self {
        let (right, bottom) = (LEFT + WIDTH, TOP + HEIGHT);
        let mut canvas = Canvas::new(right + 20.0, bottom + BELOW);
        canvas.text([LEFT, 12.0], Anchor::Start, GREY, title);
        for (words, at) in y.ticks(4) {
            canvas.line([LEFT, at], [right, at], GREY, 1.0, 0.2);
            canvas.text([LEFT - 8.0, at], Anchor::End, GREY, &words);
        }
        for (words, at) in x.ticks(10) {
            canvas.line([at, TOP], [at, bottom], GREY, 1.0, 0.2);
            canvas.text([at, bottom + 12.0], Anchor::Middle, GREY, &words);
        }
        canvas.text(
            [(LEFT + right) / 2.0, bottom + 29.0],
            Anchor::Middle,
            GREY,
            below,
        );
        Self { canvas, x, y }
    }

    fn legend(&mut self, lines: &[(&str, &str)]) {
        let mut right = LEFT + WIDTH;
        for (words, colour) in lines.iter().rev() {
            self.canvas.text([right, 12.0], Anchor::End, colour, words);
            right -= crate::plot::canvas::width(words) + 16.0;
        }
    }

    fn line(&mut self, values: impl Iterator<Item = (f64, f64)>, colour: &str) {
        let points: Vec<[f64; 2]> = values.map(|(x, y)| [self.x.at(x), self.y.at(y)]).collect();
        match points.as_slice() {
            [only] => self.canvas.disc(*only, 1.5, colour),
            points => self.canvas.through(points, colour, 1.5),
        }
    }
}
