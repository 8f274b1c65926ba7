//! Can the arm do it, and does the model know it: one point per way, on cards that no robot data held.

use super::axis::{Axis, CHANCE, spread};
use super::{Plot, RECOGNITION_EXECUTION, Role};
use crate::plot::canvas::{Anchor, Canvas, GREY, short, width};
use crate::results::tables::Tables;

const SPLIT: &str = "val";
const LEFT: f64 = 64.0;
const TOP: f64 = 24.0;
const PLOT_WIDTH: f64 = 430.0;
/// From the plot to the titles.
const LEADER: f64 = 44.0;
const LINE: f64 = 19.0;
/// Below the plot: ticks and the axis' name.
const BELOW: f64 = 56.0;

struct Point {
    title: String,
    role: Role,
    execution: [f64; 3],
    recognition: [f64; 3],
}

/// `None` where nothing was executed on val.
pub fn plot(tables: &Tables) -> Option<Plot> {
    let points: Vec<Point> = tables
        .ways
        .iter()
        .filter_map(|way| {
            let rates = way.rates.get(SPLIT)?;
            Some(Point {
                title: short(&way.title),
                role: Role::of(tables, way),
                execution: rates.execution.pooled.span()?,
                recognition: rates.recognition.pooled.span()?,
            })
        })
        .collect();
    let widest = points
        .iter()
        .map(|point| width(&point.title))
        .reduce(f64::max)?;
    let height = (LINE * points.len() as f64).max(360.0);
    let (right, bottom) = (LEFT + PLOT_WIDTH, TOP + height);
    let x = Axis::covering(points.iter().map(|point| point.execution[0]), [LEFT, right]);
    let y = Axis::covering(
        points
            .iter()
            .map(|point| point.recognition[0])
            .chain([CHANCE]),
        [bottom, TOP],
    );

    let mut canvas = Canvas::new(right + LEADER + 10.0 + widest, bottom + BELOW);
    for (name, at) in x.ticks() {
        canvas.line([at, TOP], [at, bottom], GREY, 1.0, 0.2);
        canvas.text([at, bottom + 16.0], Anchor::Middle, GREY, &name);
    }
    for (name, at) in y.ticks() {
        canvas.line([LEFT, at], [right, at], GREY, 1.0, 0.2);
        canvas.text([LEFT - 8.0, at], Anchor::End, GREY, &name);
    }
    canvas.dashed([LEFT, y.at(CHANCE)], [right, y.at(CHANCE)], GREY);
    canvas.text(
        [LEFT + 6.0, y.at(CHANCE) - 10.0],
        Anchor::Start,
        GREY,
        "chance",
    );
    let middle = (LEFT + right) / 2.0;
    canvas.text(
        [middle, bottom + 40.0],
        Anchor::Middle,
        GREY,
        "execution on val, %",
    );
    canvas.text_upwards([18.0, (TOP + bottom) / 2.0], GREY, "recognition on val, %");

    let wanted: Vec<f64> = points
        .iter()
        .map(|point| y.at(point.recognition[1]))
        .collect();
    let places = spread(&wanted, LINE, TOP + 4.0, bottom - 4.0);
    for (point, &place) in points.iter().zip(&places) {
        let at = [x.at(point.execution[1]), y.at(point.recognition[1])];
        let elbow = right + LEADER - 12.0;
        canvas.dotted(
            &[
                at,
                [right + 6.0, at[1]],
                [elbow, place],
                [right + LEADER - 4.0, place],
            ],
            point.role.colour(),
            0.7,
        );
    }
    for (point, place) in points.iter().zip(places) {
        let colour = point.role.colour();
        let at = [x.at(point.execution[1]), y.at(point.recognition[1])];
        let [low, _, high] = point.execution.map(|rate| x.at(rate));
        canvas.line([low, at[1]], [high, at[1]], colour, 1.5, 0.7);
        let [low, _, high] = point.recognition.map(|rate| y.at(rate));
        canvas.line([at[0], low], [at[0], high], colour, 1.5, 0.7);
        match point.role {
            Role::Baseline => canvas.diamond(at, 6.5, colour),
            Role::Main => canvas.disc(at, 5.0, colour),
            Role::Other => canvas.disc(at, 4.0, colour),
        }
        canvas.text([right + LEADER, place], Anchor::Start, colour, &point.title);
    }
    Some(Plot {
        file: RECOGNITION_EXECUTION.to_owned(),
        alt: "Recognition against execution on val, by way, with 95% intervals".to_owned(),
        svg: canvas.finish(),
    })
}
