//! Draws a scene: the task, what lies on the table, where, and how it is asked for.

use nalgebra::{Isometry3, Point3, Vector3};

use super::layout::{goal, place_cards, place_objects, within};
use super::task::{Side, Task};
use super::words::{self, COLOURS, Colour, ON_PAPER};
use crate::outcome::Truth;
use crate::render::{Figure, srgb};
use crate::scene::Draw;
use crate::table::{Object, Solid, Table};

/// Keeps these draws apart from all others.
const STREAM: u64 = 0x6469_7665;

/// Kinds of tasks come in so many shares.
const SHARES: usize = 10;

/// One episode's table, task and words.
#[derive(Debug, Clone, PartialEq)]
pub struct DiverseScene {
    /// What lies on the table. The task is about its first object.
    pub table: Table,
    /// What is to be done.
    pub task: Task,
    /// What the policy is told.
    pub instruction: String,
    /// What the cards show, in a few words.
    pub card_labels: [String; 3],
    /// Where the first object's underside is to be in the end, in the world.
    pub goal: Point3<f64>,
}

impl DiverseScene {
    /// The scene with this number, the same whenever it is asked for.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let mut draw = Draw::from_stream(number, STREAM);
        // Drawn once: a kind that finds its place less easily is no rarer for that.
        let share = draw.below(SHARES);
        loop {
            if let Some(scene) = Self::draw(number, share, &mut draw) {
                return scene;
            }
        }
    }

    /// Whether the task is done.
    #[must_use]
    pub fn is_done(&self, truth: &Truth) -> bool {
        self.task.is_done(&self.table, truth)
    }

    /// A scene, or none where things found no place or are not told apart.
    fn draw(number: u64, share: usize, draw: &mut Draw) -> Option<Self> {
        let task = draw_task(share, draw);
        let (mut objects, names) = draw_objects(&task, draw)?;
        let looks = draw_card_looks(draw)?;
        let cards = place_cards(&looks, draw)?;
        place_objects(&mut objects, &cards, draw)?;
        let goal = goal(&task, &objects, &cards, draw)?;
        let card_labels = looks.map(|(ink, figure)| words::card_label(ink, figure));
        let scene = Self {
            instruction: words::instruction(&task, &names, &card_labels, draw),
            table: Table {
                setup: &crate::setup::WX250S,
                objects,
                cards,
                target: task.card().unwrap_or(0),
                seed: number,
            },
            task,
            card_labels,
            goal: Point3::from(goal),
        };
        let begun = scene.is_done(&at_rest(&scene.table));
        (!begun).then_some(scene)
    }
}

/// A task of the kind that this share of all tasks belongs to.
fn draw_task(share: usize, draw: &mut Draw) -> Task {
    let card = draw.below(3);
    let side = Side::ALL[draw.below(4)];
    match share {
        0..4 => Task::PlaceOn { card },
        4 | 5 => Task::PlaceBeside { card, side },
        6 => Task::PlaceNextTo { other: 1, side },
        7 => Task::Stack { other: 1 },
        8 => Task::Lift,
        _ => Task::Push { side },
    }
}

/// One to three objects (at least the task's) without a place, and their names.
fn draw_objects(task: &Task, draw: &mut Draw) -> Option<(Vec<Object>, Vec<String>)> {
    let least = match task {
        Task::PlaceNextTo { .. } | Task::Stack { .. } => 2,
        _ => 1,
    };
    let count = least + draw.below(4 - least);
    let (mut objects, mut names, mut looks) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..count {
        let solid = match task {
            Task::Stack { other } if *other == index => draw_base(draw),
            _ => draw_solid(draw),
        };
        let colour = COLOURS[draw.below(COLOURS.len())];
        let look = (colour.name, matches!(solid, Solid::Cylinder { .. }));
        if looks.contains(&look) {
            return None;
        }
        looks.push(look);
        let turned = !look.1 && !matches!(task, Task::Push { .. });
        let object = Object {
            solid,
            centre_xy: [0.0; 2],
            yaw_rad: if turned { 0.6 * draw.signed() } else { 0.0 },
            rgb: Some(srgb(colour.rgb).map(|channel| {
                let jitter = 1.0 + 0.12 * draw.signed() as f32;
                (channel * jitter).clamp(0.0, 1.0)
            })),
        };
        names.push(format!("{} {}", colour.name, words::noun(&object, draw)));
        objects.push(object);
    }
    Some((objects, names))
}

/// What the gripper can take: at most 36 mm along y.
fn draw_solid(draw: &mut Draw) -> Solid {
    match draw.below(3) {
        0 => Solid::Box {
            half_m: [within(draw, [0.011, 0.018]); 3],
        },
        1 => Solid::Box {
            half_m: [[0.010, 0.024], [0.010, 0.018], [0.009, 0.022]]
                .map(|range| within(draw, range)),
        },
        _ => Solid::Cylinder {
            radius_m: within(draw, [0.010, 0.018]),
            half_height_m: within(draw, [0.010, 0.024]),
        },
    }
}

/// What something can be stacked on: broad and low.
fn draw_base(draw: &mut Draw) -> Solid {
    Solid::Box {
        half_m: [[0.018, 0.026], [0.018, 0.026], [0.010, 0.018]].map(|range| within(draw, range)),
    }
}

/// Colour and figure of a card.
pub(super) type CardLook = (Colour, Option<Figure>);

/// Three cards that are told apart by their words.
fn draw_card_looks(draw: &mut Draw) -> Option<[CardLook; 3]> {
    let looks: [CardLook; 3] = std::array::from_fn(|_| {
        let ink = COLOURS[draw.below(ON_PAPER)];
        let figure = Figure::ALL[draw.below(Figure::ALL.len())];
        (ink, (draw.below(2) == 0).then_some(figure))
    });
    let alike =
        |a: &CardLook, b: &CardLook| a.0 == b.0 && (a.1 == b.1 || a.1.is_none() || b.1.is_none());
    let [a, b, c] = &looks;
    (!alike(a, b) && !alike(b, c) && !alike(a, c)).then_some(looks)
}

/// The truth of a table that nobody has touched.
pub(super) fn at_rest(table: &Table) -> Truth {
    let pose = |object: &Object| {
        Isometry3::new(
            Vector3::from(object.centre_on(0.0)),
            Vector3::z() * object.yaw_rad,
        )
    };
    Truth {
        cube_in_world: pose(&table.objects[0]),
        cube_speed: 0.0,
        tool_in_world: Isometry3::identity(),
        joint_angles: wink_runtime::arm::JointValues::filled(0.0, 6),
        max_joint_speed: 0.0,
        finger_m: 0.0,
        finger_force_n: [0.0; 2],
        grasped: false,
        others_in_world: table.objects[1..].iter().map(pose).collect(),
        card_centres: table.cards.map(|card| Point3::from(card.centre())),
        target: table.target,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::layout::{beyond_card, distance, radius};
    use super::*;
    use crate::emoji::{self, EmojiSplit};
    use crate::render::{Appearance, PinholeCamera};
    use crate::setup::WX250S;
    use crate::table::Print;

    #[test]
    fn scenes_follow_from_their_number_and_are_sound() {
        let mut kinds = BTreeMap::new();
        let mut words = BTreeMap::new();
        for number in 0..600 {
            let scene = DiverseScene::new(number);
            assert_eq!(scene, DiverseScene::new(number));
            assert_ne!(scene, DiverseScene::new(number + 1));
            *kinds.entry(scene.task.kind()).or_insert(0) += 1;
            *words.entry(scene.instruction.clone()).or_insert(0) += 1;
            let table = &scene.table;
            assert!((1..=3).contains(&table.objects.len()));
            assert!(
                !scene.is_done(&at_rest(table)),
                "{number}: {}",
                scene.instruction
            );
            for (index, object) in table.objects.iter().enumerate() {
                for card in &table.cards {
                    assert!(beyond_card(object.centre_xy, card) >= radius(object));
                }
                for other in &table.objects[..index] {
                    let apart = distance(object.centre_xy, other.centre_xy);
                    assert!(apart > radius(object) + radius(other), "{number}");
                }
            }
            for (card, label) in table.cards.iter().zip(&scene.card_labels) {
                assert!(!matches!(card.print, Print::Emoji(_)));
                assert_eq!(
                    matches!(card.print, Print::Mark(_)),
                    label.contains(' '),
                    "{label}"
                );
            }
            if let Some(card) = scene.task.card() {
                assert_eq!(table.target, card);
                let label = &scene.card_labels[card];
                assert!(
                    scene.instruction.contains(label.as_str()),
                    "{}",
                    scene.instruction
                );
            }
        }
        for kind in Task::KINDS {
            assert!(kinds[kind] > 20, "{kinds:?}");
        }
        assert!(words.len() > 500, "{} sentences", words.len());
    }

    #[test]
    fn no_emoji_that_robot_data_must_not_show_is_named() {
        let labels: Vec<String> = emoji::of_split(EmojiSplit::Val)
            .into_iter()
            .map(|index| format!(" {} ", emoji::all()[index].label))
            .collect();
        for number in 0..600 {
            let told = format!(" {} ", DiverseScene::new(number).instruction);
            assert!(!told.contains('{'), "{told}");
            let named = labels.iter().find(|label| told.contains(*label));
            assert_eq!(named, None, "{told}");
        }
    }

    #[test]
    fn everything_is_in_the_picture_wherever_the_camera_stands() {
        for number in 0..300 {
            let scene = DiverseScene::new(number);
            for look in [Appearance::benchmark(), Appearance::roaming(number)] {
                let mount = &WX250S.cameras[0];
                let camera = PinholeCamera::mounted(mount, &look, &[], (224, 224));
                let places = scene
                    .table
                    .objects
                    .iter()
                    .map(|object| object.centre_on(0.0));
                for place in places.chain([scene.goal.into()]) {
                    let pixel = camera.project(place.into());
                    let seen =
                        pixel.is_some_and(|pixel| pixel.iter().all(|at| (4.0..220.0).contains(at)));
                    assert!(seen, "{number}: {place:?} at {pixel:?}");
                }
            }
        }
    }
}
