//! What things are called, and how an instruction is put: colours, shapes, figures, sentences.

use super::task::{Side, Task};
use crate::render::{Figure, Mark};
use crate::scene::Draw;
use crate::table::{FlatCard, Object, Print, Solid};

/// A colour with its name, sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour {
    pub name: &'static str,
    pub rgb: [u8; 3],
}

const fn colour(name: &'static str, rgb: [u8; 3]) -> Colour {
    Colour { name, rgb }
}

/// Colours of objects. No orange: that is also the name of an emoji which robot data must not name.
pub(super) const COLOURS: [Colour; 9] = [
    colour("red", [205, 35, 40]),
    colour("yellow", [242, 208, 40]),
    colour("turquoise", [40, 190, 178]),
    colour("green", [48, 155, 62]),
    colour("blue", [38, 82, 200]),
    colour("purple", [122, 52, 165]),
    colour("pink", [242, 140, 182]),
    colour("white", [238, 238, 236]),
    colour("black", [26, 26, 28]),
];
/// How many of [`COLOURS`], from the first, are told from white paper: those of figures and coloured cards.
pub(super) const ON_PAPER: usize = 7;

/// A word for an object's shape. Cubes and other boxes share "block": two things of one colour in a scene are never both boxes.
pub(super) fn noun(object: &Object, draw: &mut Draw) -> &'static str {
    let nouns = match object.solid {
        Solid::Box { half_m: [x, y, z] } if x == y && y == z => ["block", "cube"],
        Solid::Box { .. } => ["block", "box"],
        Solid::Cylinder { .. } => ["cylinder", "can"],
    };
    pick(draw, &nouns)
}

/// A figure's name.
pub(super) const fn figure_name(figure: Figure) -> &'static str {
    match figure {
        Figure::Circle => "circle",
        Figure::Ring => "ring",
        Figure::Square => "square",
        Figure::Triangle => "triangle",
        Figure::Diamond => "diamond",
        Figure::Cross => "cross",
        Figure::Stripes => "stripes",
    }
}

/// A card of a colour: all of it, or a figure on white.
pub(super) fn card(
    place: [f64; 2],
    half_size_m: f64,
    ink: Colour,
    figure: Option<Figure>,
) -> FlatCard {
    let (tint, print) = match figure {
        Some(figure) => {
            let rgb = ink.rgb;
            ([1.0; 3], Print::Mark(Mark { figure, rgb }))
        }
        None => (crate::render::srgb(ink.rgb), Print::Blank),
    };
    FlatCard {
        centre_xy: place,
        half_size_m,
        tint,
        print,
    }
}

/// The one way to name a card in data: "yellow", or "red triangle".
pub(super) fn card_label(ink: Colour, figure: Option<Figure>) -> String {
    figure.map_or(ink.name.to_owned(), |figure| {
        format!("{} {}", ink.name, figure_name(figure))
    })
}

/// A card in a sentence.
fn card_phrase(label: &str, draw: &mut Draw) -> String {
    if !label.contains(' ') {
        return format!("the {label} card");
    }
    let article = if label.ends_with(figure_name(Figure::Stripes)) {
        ""
    } else {
        "a "
    };
    match draw.below(3) {
        0 => format!("the card with the {label}"),
        1 => format!("the {label} card"),
        _ => format!("the card that shows {article}{label}"),
    }
}

fn pick<'a>(draw: &mut Draw, from: &[&'a str]) -> &'a str {
    from[draw.below(from.len())]
}

/// The sentence that asks for a task: `objects` are the names of the objects ("red block"), `cards` the cards' labels.
pub(super) fn instruction(
    task: &Task,
    objects: &[String],
    cards: &[String; 3],
    draw: &mut Draw,
) -> String {
    let object = &format!("the {}", objects[0]);
    match *task {
        Task::PlaceOn { card } => {
            let card = card_phrase(&cards[card], draw);
            fill(
                draw,
                &[
                    "pick {object} and place it on {goal}",
                    "put {object} on {goal}",
                    "place {object} onto {goal}",
                    "move {object} to {goal}",
                    "take {object} and set it down on {goal}",
                ],
                object,
                &card,
            )
        }
        Task::PlaceBeside { card, side } => {
            let card = card_phrase(&cards[card], draw);
            beside(draw, object, side, &card)
        }
        Task::PlaceNextTo { other, side } => {
            let other = format!("the {}", objects[other]);
            beside(draw, object, side, &other)
        }
        Task::Stack { other } => {
            let other = format!("the {}", objects[other]);
            fill(
                draw,
                &[
                    "stack {object} on {goal}",
                    "put {object} on top of {goal}",
                    "pick {object} and place it on {goal}",
                    "set {object} down on {goal}",
                ],
                object,
                &other,
            )
        }
        Task::Lift => fill(
            draw,
            &[
                "lift {object}",
                "pick up {object}",
                "raise {object}",
                "take {object} and hold it up",
            ],
            object,
            "",
        ),
        Task::Push { side } => {
            let way = match side {
                Side::Left => ["left", "to the left"],
                Side::Right => ["right", "to the right"],
                Side::Behind => ["forward", "away from the arm"],
                Side::Front => ["back", "towards the arm"],
            };
            let way = pick(draw, &way);
            fill(
                draw,
                &[
                    "push {object} {goal}",
                    "slide {object} {goal}",
                    "shove {object} {goal}",
                ],
                object,
                way,
            )
        }
    }
}

fn beside(draw: &mut Draw, object: &str, side: Side, goal: &str) -> String {
    let side = match side {
        Side::Left => ["left of", "to the left of"],
        Side::Right => ["right of", "to the right of"],
        Side::Behind => ["behind", "just behind"],
        Side::Front => ["in front of", "just in front of"],
    };
    let goal = format!("{} {goal}", pick(draw, &side));
    fill(
        draw,
        &[
            "put {object} {goal}",
            "place {object} {goal}",
            "pick {object} and place it {goal}",
            "move {object} {goal}",
        ],
        object,
        &goal,
    )
}

fn fill(draw: &mut Draw, templates: &[&str], object: &str, goal: &str) -> String {
    pick(draw, templates)
        .replace("{object}", object)
        .replace("{goal}", goal)
}
