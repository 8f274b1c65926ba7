//! Shapes and words at places.

use svg::Document;
use svg::node::element::{Circle, Line, Polyline, Rectangle, Text};

/// Of words and axes.
pub const GREY: &str = "#74808c";
/// Of words in pixels; its letters are about [`LETTER`] wide.
const FONT_SIZE: u32 = 13;
/// Mean width of a letter in pixels.
const LETTER: f64 = 6.9;

/// A picture under way. Places are pixels from the top left.
pub struct Canvas {
    document: Document,
}

/// Where a text's place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At its first letter.
    Start,
    /// In its middle.
    Middle,
    /// At its last letter.
    End,
}

impl Canvas {
    /// An empty picture without a background.
    pub fn new(width: f64, height: f64) -> Self {
        let document = Document::new()
            .set("viewBox", format!("0 0 {width:.0} {height:.0}"))
            .set("width", format!("{width:.0}"))
            .set("height", format!("{height:.0}"))
            .set(
                "font-family",
                "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif",
            )
            .set("font-size", FONT_SIZE);
        Self { document }
    }

    /// The file's text.
    pub fn finish(self) -> String {
        self.document.to_string() + "\n"
    }

    /// A straight line.
    pub fn line(&mut self, from: [f64; 2], to: [f64; 2], colour: &str, width: f64, opacity: f64) {
        self.add(straight(from, to, colour, width, opacity));
    }

    /// A dashed straight line.
    pub fn dashed(&mut self, from: [f64; 2], to: [f64; 2], colour: &str) {
        self.add(straight(from, to, colour, 1.0, 0.9).set("stroke-dasharray", "5 4"));
    }

    /// A dotted line through points.
    pub fn dotted(&mut self, points: &[[f64; 2]], colour: &str, opacity: f64) {
        self.add(
            Polyline::new()
                .set("points", joined(points))
                .set("fill", "none")
                .set("stroke", colour)
                .set("stroke-opacity", opacity)
                .set("stroke-dasharray", "1.5 3"),
        );
    }

    /// A line through points.
    pub fn through(&mut self, points: &[[f64; 2]], colour: &str, width: f64) {
        self.add(
            Polyline::new()
                .set("points", joined(points))
                .set("fill", "none")
                .set("stroke", colour)
                .set("stroke-width", width)
                .set("stroke-linejoin", "round"),
        );
    }

    /// A filled disc.
    pub fn disc(&mut self, at: [f64; 2], radius: f64, colour: &str) {
        self.add(circle(at, radius).set("fill", colour));
    }

    /// A circle.
    pub fn ring(&mut self, at: [f64; 2], radius: f64, colour: &str) {
        let circle = circle(at, radius);
        self.add(
            circle
                .set("fill", "none")
                .set("stroke", colour)
                .set("stroke-width", 2),
        );
    }

    /// A square on its corner.
    pub fn diamond(&mut self, at: [f64; 2], radius: f64, colour: &str) {
        let [x, y] = at;
        let side = radius * std::f64::consts::SQRT_2;
        self.add(
            Rectangle::new()
                .set("x", format!("{:.1}", x - side / 2.0))
                .set("y", format!("{:.1}", y - side / 2.0))
                .set("width", format!("{side:.1}"))
                .set("height", format!("{side:.1}"))
                .set("fill", colour)
                .set("transform", format!("rotate(45 {x:.1} {y:.1})")),
        );
    }

    /// Words in a row, their middle at the height of `at`.
    pub fn text(&mut self, at: [f64; 2], anchor: Anchor, colour: &str, words: &str) {
        self.add(text(at, anchor, colour, words));
    }

    /// Words that run upwards, their middle at `at`.
    pub fn text_upwards(&mut self, at: [f64; 2], colour: &str, words: &str) {
        let [x, y] = at;
        let text = text(at, Anchor::Middle, colour, words);
        self.add(text.set("transform", format!("rotate(-90 {x:.1} {y:.1})")));
    }

    fn add(&mut self, node: impl Into<Box<dyn svg::Node>>) {
        svg::Node::append(&mut self.document, node);
    }
}

/// About how wide a text is, in pixels.
pub fn width(words: &str) -> f64 {
    LETTER * words.chars().count() as f64
}

/// A title that fits where titles stand.
pub fn short(title: &str) -> String {
    const LONGEST: usize = 44;
    if title.chars().count() <= LONGEST {
        return title.to_owned();
    }
    let kept: String = title.chars().take(LONGEST - 1).collect();
    format!("{}…", kept.trim_end())
}

fn joined(points: &[[f64; 2]]) -> String {
    let points = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}"));
    points.collect::<Vec<_>>().join(" ")
}

fn straight(from: [f64; 2], to: [f64; 2], colour: &str, width: f64, opacity: f64) -> Line {
    Line::new()
        .set("x1", format!("{:.1}", from[0]))
        .set("y1", format!("{:.1}", from[1]))
        .set("x2", format!("{:.1}", to[0]))
        .set("y2", format!("{:.1}", to[1]))
        .set("stroke", colour)
        .set("stroke-width", width)
        .set("stroke-opacity", opacity)
}

fn circle([x, y]: [f64; 2], radius: f64) -> Circle {
    Circle::new()
        .set("cx", format!("{x:.1}"))
        .set("cy", format!("{y:.1}"))
        .set("r", radius)
}

fn text([x, y]: [f64; 2], anchor: Anchor, colour: &str, words: &str) -> Text {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    Text::new(words)
        .set("x", format!("{x:.1}"))
        // Not by `dominant-baseline`, which some viewers ignore.
        .set("y", format!("{:.1}", y + 0.35 * f64::from(FONT_SIZE)))
        .set("text-anchor", anchor)
        .set("fill", colour)
}
