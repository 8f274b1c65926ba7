//! What is lost on unseen cards: recognition on train and on val, one row per way.

use super::axis::{Axis, CHANCE};
use super::{Plot, Role, TRAIN_VAL};
use crate::plot::canvas::{Anchor, Canvas, GREY, short, width};
use crate::results::tables::{Tables, WayTable};

const TOP: f64 = 62.0;
const ROW: f64 = 30.0;
const PLOT_WIDTH: f64 = 470.0;
const BELOW: f64 = 52.0;
/// Between a row's middle and each of its two marks.
const APART: f64 = 5.5;

struct Row {
    title: String,
    role: Role,
    train: [f64; 3],
    val: [f64; 3],
}

/// `None` where no way was evaluated on both.
pub fn plot(tables: &Tables) -> Option<Plot> {
    let ends = |way: &WayTable, split| way.rates.get(split)?.recognition.pooled.span();
    let rows: Vec<Row> = tables
        .ways
        .iter()
        .filter_map(|way| {
            Some(Row {
                title: short(&way.title),
                role: Role::of(tables, way),
                train: ends(way, "train")?,
                val: ends(way, "val")?,
            })
        })
        .collect();
    let left = 16.0 + rows.iter().map(|row| width(&row.title)).reduce(f64::max)?;
    let (right, bottom) = (left + PLOT_WIDTH, TOP + ROW * rows.len() as f64);
    let lows = rows
        .iter()
        .flat_map(|row| [row.train[0], row.val[0], CHANCE]);
    let x = Axis::covering(lows, [left, right]);

    let mut canvas = Canvas::new(right + 20.0, bottom + BELOW);
    for (name, at) in x.ticks() {
        canvas.line([at, TOP - 6.0], [at, bottom], GREY, 1.0, 0.2);
        canvas.text([at, bottom + 14.0], Anchor::Middle, GREY, &name);
    }
    canvas.dashed([x.at(CHANCE), TOP - 6.0], [x.at(CHANCE), bottom], GREY);
    canvas.text([x.at(CHANCE), TOP - 17.0], Anchor::Middle, GREY, "chance");
    canvas.text(
        [(left + right) / 2.0, bottom + 37.0],
        Anchor::Middle,
        GREY,
        "recognition, %",
    );
    canvas.ring([left + 8.0, 14.0], 5.0, GREY);
    canvas.text([left + 20.0, 14.0], Anchor::Start, GREY, "on train");
    canvas.disc([left + 108.0, 14.0], 5.5, GREY);
    canvas.text(
        [left + 120.0, 14.0],
        Anchor::Start,
        GREY,
        "on val, cards that no robot data held",
    );

    for (place, row) in rows.iter().enumerate() {
        let middle = TOP + ROW * (place as f64 + 0.5);
        let colour = row.role.colour();
        canvas.text([left - 10.0, middle], Anchor::End, colour, &row.title);
        let (above, below) = (middle - APART, middle + APART);
        let [low, train, high] = row.train.map(|rate| x.at(rate));
        // Nothing shows through the ring.
        canvas.line([low, above], [train - 5.0, above], colour, 1.5, 0.6);
        canvas.line(
            [train + 5.0, above],
            [high.max(train + 5.0), above],
            colour,
            1.5,
            0.6,
        );
        canvas.ring([train, above], 4.0, colour);
        let [low, val, high] = row.val.map(|rate| x.at(rate));
        canvas.line([low, below], [high, below], colour, 1.5, 0.6);
        canvas.disc([val, below], 5.0, colour);
    }
    Some(Plot {
        file: TRAIN_VAL.to_owned(),
        alt: "Recognition on train and on val, by way, with 95% intervals".to_owned(),
        svg: canvas.finish(),
    })
}
