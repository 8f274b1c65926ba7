//! Where things lie so that the hand finds room: cards, objects, and the goal of a task.

use super::scene::CardLook;
use super::task::{Side, Task};
use super::words;
use crate::scene::{BASE_IN_WORLD_M, CARD_HALF_THICKNESS_M, Draw};
use crate::table::{FlatCard, Object, Solid};

/// Where cards and objects have their centres, `[min, max]` in x and y.
const CARD_AREA_M: [[f64; 2]; 2] = [[0.08, 0.26], [0.46, 0.94]];
const OBJECT_AREA_M: [[f64; 2]; 2] = [[-0.03, 0.24], [0.48, 0.92]];
/// Where an object may be brought.
const GOAL_AREA_M: [[f64; 2]; 2] = [[-0.05, 0.28], [0.42, 0.98]];
/// Distances from the arm's base at which the gripper can point down.
const REACH_M: [f64; 2] = [0.22, 0.48];
/// Space around the tool that the open hand needs.
const HAND_M: f64 = 0.055;
/// The closed hand's.
const FIST_M: f64 = 0.03;
/// Times that a place is looked for before the scene is drawn anew.
const TRIES: usize = 40;

/// How high an object is lifted: its underside, metres.
const LIFT_M: f64 = 0.13;
/// How far an object is pushed.
const PUSH_M: f64 = 0.08;
/// The way an object is pushed is free this far.
const PUSH_FREE_M: f64 = 0.10;
/// Gap between object and closed fingers before a push.
pub(super) const RUN_UP_M: f64 = 0.03;

/// Cards of these looks, none on another.
pub(super) fn place_cards(looks: &[CardLook; 3], draw: &mut Draw) -> Option<[FlatCard; 3]> {
    let mut cards: Vec<FlatCard> = Vec::with_capacity(3);
    for &(ink, figure) in looks {
        let half = within(draw, [0.05, 0.07]);
        let at = find(draw, CARD_AREA_M, |at| {
            reaches(at, 0.02)
                && cards
                    .iter()
                    .all(|card| beyond_card(at, card) >= half + 0.01)
        })?;
        cards.push(words::card(at, half, ink, figure));
    }
    cards.try_into().ok()
}

/// Gives each object a place beside the cards and the other objects, with room for the hand.
pub(super) fn place_objects(
    objects: &mut [Object],
    cards: &[FlatCard],
    draw: &mut Draw,
) -> Option<()> {
    for index in 0..objects.len() {
        let (placed, rest) = objects.split_at_mut(index);
        let object = &mut rest[0];
        let radius = radius(object);
        object.centre_xy = find(draw, OBJECT_AREA_M, |at| {
            let apart = |(other, placed): (usize, &Object)| {
                let space = if other == 0 { HAND_M } else { radius + 0.012 };
                distance(at, placed.centre_xy) >= radius.max(self::radius(placed)) + space
            };
            reaches(at, 0.0)
                && cards
                    .iter()
                    .all(|card| beyond_card(at, card) >= radius + 0.004)
                && placed.iter().enumerate().all(apart)
        })?;
    }
    Some(())
}

/// Where the first object's underside is to go, if the way there is free.
pub(super) fn goal(
    task: &Task,
    objects: &[Object],
    cards: &[FlatCard],
    draw: &mut Draw,
) -> Option<[f64; 3]> {
    let object = &objects[0];
    let radius = radius(object);
    let from = object.centre_xy;
    let off = |at: [f64; 2], side: Side, far: f64| {
        let [x, y] = side.direction();
        [at[0] + far * x, at[1] + far * y]
    };
    // Room for the hand beside every object but the first and the one that the task is about.
    let has_room = |at: [f64; 2], besides: Option<usize>| {
        let others = objects.iter().enumerate().skip(1);
        others
            .filter(|(index, _)| Some(*index) != besides)
            .all(|(_, other)| distance(at, other.centre_xy) >= self::radius(other) + HAND_M)
    };
    let on_table = |at: [f64; 2]| {
        is_within(at, GOAL_AREA_M)
            && reaches(at, 0.0)
            && cards
                .iter()
                .all(|card| beyond_card(at, card) >= radius + 0.005)
    };
    let (at, z, fine) = match *task {
        Task::PlaceOn { card } => {
            let at = cards[card].centre_xy;
            (at, 2.0 * CARD_HALF_THICKNESS_M, has_room(at, None))
        }
        Task::PlaceBeside { card, side } => {
            let far = cards[card].half_size_m + radius + within(draw, [0.012, 0.03]);
            let at = off(cards[card].centre_xy, side, far);
            (at, 0.0, on_table(at) && has_room(at, None))
        }
        Task::PlaceNextTo { other, side } => {
            let gap = match side {
                // A finger has to fit between the two.
                Side::Left | Side::Right => [0.022, 0.035],
                Side::Front | Side::Behind => [0.016, 0.03],
            };
            let far = self::radius(&objects[other]) + radius + within(draw, gap);
            let at = off(objects[other].centre_xy, side, far);
            (at, 0.0, on_table(at) && has_room(at, Some(other)))
        }
        Task::Stack { other } => {
            let at = objects[other].centre_xy;
            let [_, _, half_height] = objects[other].solid.half_extents_m();
            (at, 2.0 * half_height, has_room(at, Some(other)))
        }
        Task::Lift => (from, LIFT_M, true),
        Task::Push { side } => {
            let start = off(from, side, -(radius + RUN_UP_M));
            let others = || objects.iter().skip(1);
            let clear = |at: [f64; 2], space: f64| {
                others().all(|other| distance(at, other.centre_xy) >= self::radius(other) + space)
            };
            const PIECES: u32 = 10;
            let way = (1..=PIECES).map(|piece| {
                off(
                    from,
                    side,
                    PUSH_FREE_M * f64::from(piece) / f64::from(PIECES),
                )
            });
            let mut way = way.map(|at| on_table(at) && clear(at, radius + 0.012));
            let fine = reaches(start, 0.0) && clear(start, FIST_M) && way.all(|free| free);
            (off(from, side, PUSH_M), 0.0, fine)
        }
    };
    fine.then_some([at[0], at[1], z])
}

/// Uniform between the two.
pub(super) fn within(draw: &mut Draw, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * draw.unit()
}

/// A place of the area that is fine, if one turns up.
fn find(
    draw: &mut Draw,
    [x, y]: [[f64; 2]; 2],
    fine: impl Fn([f64; 2]) -> bool,
) -> Option<[f64; 2]> {
    (0..TRIES)
        .map(|_| [within(draw, x), within(draw, y)])
        .find(|&at| fine(at))
}

fn is_within(at: [f64; 2], area: [[f64; 2]; 2]) -> bool {
    (0..2).all(|axis| (area[axis][0]..=area[axis][1]).contains(&at[axis]))
}

/// On the table.
pub(super) fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    let [x, y] = [a[0] - b[0], a[1] - b[1]];
    (x * x + y * y).sqrt()
}

/// Whether the gripper gets there, pointing down; `more` metres beyond where it does so easily.
fn reaches(at: [f64; 2], more: f64) -> bool {
    let [x, y, _] = BASE_IN_WORLD_M;
    (REACH_M[0]..=REACH_M[1] + more).contains(&distance(at, [x, y]))
}

/// Radius of the circle around an object's footprint.
pub(super) fn radius(object: &Object) -> f64 {
    match object.solid {
        Solid::Box { half_m: [x, y, _] } => (x * x + y * y).sqrt(),
        Solid::Cylinder { radius_m, .. } => radius_m,
    }
}

/// How far outside of a card's edges a point lies, at least; negative on the card.
pub(super) fn beyond_card(at: [f64; 2], card: &FlatCard) -> f64 {
    let [x, y] = [0, 1].map(|axis| (at[axis] - card.centre_xy[axis]).abs());
    x.max(y) - card.half_size_m
}
