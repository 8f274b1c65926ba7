//! What can be asked for, and whether it has been done.

use nalgebra::{Isometry3, Vector2, Vector3};

use crate::outcome::{STATIC_SPEED_RAD_S, Truth};
use crate::scene::CARD_HALF_THICKNESS_M;
use crate::table::Table;

/// An object that is slower than this lies still, metres per second.
const STILL_M_S: f64 = 0.02;
/// An object stands on a surface when it is no further than this above it or sunk in it.
const STANDING_M: f64 = 0.008;
/// An object is upright when its axis is no more than about 18 degrees off the vertical.
const UPRIGHT_COS: f64 = 0.95;
/// A lifted object's centre is at least this high.
pub(super) const LIFTED_M: f64 = 0.10;
/// A pushed object has gone at least this far.
pub(super) const PUSHED_M: f64 = 0.05;
/// And no further than this to either side.
const STRAYED_M: f64 = 0.03;
/// An object is beside another thing up to this far from its edge.
const BESIDE_M: f64 = 0.10;

/// A direction on the table, as the arm sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Towards +y.
    Left,
    /// Towards -y.
    Right,
    /// Towards the arm, -x.
    Front,
    /// Away from the arm, +x.
    Behind,
}

impl Side {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Front, Self::Behind];

    /// The unit vector of the direction, x and y.
    #[must_use]
    pub const fn direction(self) -> [f64; 2] {
        match self {
            Self::Left => [0.0, 1.0],
            Self::Right => [0.0, -1.0],
            Self::Front => [-1.0, 0.0],
            Self::Behind => [1.0, 0.0],
        }
    }
}

/// What is to be done with the table's first object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Set it down on a card.
    PlaceOn {
        /// Index of the card.
        card: usize,
    },
    /// Set it down beside a card.
    PlaceBeside {
        /// Index of the card.
        card: usize,
        /// Where, seen from the card.
        side: Side,
    },
    /// Set it down beside another object.
    PlaceNextTo {
        /// Index of the other object.
        other: usize,
        /// Where, seen from the other object.
        side: Side,
    },
    /// Set it down on another object.
    Stack {
        /// Index of the other object.
        other: usize,
    },
    /// Hold it up.
    Lift,
    /// Push it along the table.
    Push {
        /// Where to.
        side: Side,
    },
}

impl Task {
    /// The names of all kinds, in the order of a report.
    pub const KINDS: [&'static str; 6] = [
        "place_on",
        "place_beside",
        "place_next_to",
        "stack",
        "lift",
        "push",
    ];

    /// The name of its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        Self::KINDS[match self {
            Self::PlaceOn { .. } => 0,
            Self::PlaceBeside { .. } => 1,
            Self::PlaceNextTo { .. } => 2,
            Self::Stack { .. } => 3,
            Self::Lift => 4,
            Self::Push { .. } => 5,
        }]
    }

    /// The card that it is about, if it is about one.
    #[must_use]
    pub const fn card(&self) -> Option<usize> {
        match *self {
            Self::PlaceOn { card } | Self::PlaceBeside { card, .. } => Some(card),
            _ => None,
        }
    }

    /// Whether it has been done: the object where it should be and at rest, and the arm too.
    #[must_use]
    pub fn is_done(&self, table: &Table, truth: &Truth) -> bool {
        let object = &table.objects[0];
        let pose = &truth.cube_in_world;
        if truth.max_joint_speed > STATIC_SPEED_RAD_S || !is_upright(pose) {
            return false;
        }
        if matches!(self, Self::Lift) {
            return truth.grasped && pose.translation.z >= LIFTED_M;
        }
        let [_, _, half_height] = object.solid.half_extents_m();
        let stands_on = |z: f64| (pose.translation.z - half_height - z).abs() <= STANDING_M;
        if truth.grasped || truth.cube_speed > STILL_M_S {
            return false;
        }
        let at = pose.translation.vector.xy();
        match *self {
            Self::PlaceOn { card } => {
                let card = &table.cards[card];
                let off = at - Vector2::from(card.centre_xy);
                stands_on(2.0 * CARD_HALF_THICKNESS_M) && off.amax() <= card.half_size_m
            }
            Self::PlaceBeside { card, side } => {
                let card = &table.cards[card];
                let off = at - Vector2::from(card.centre_xy);
                stands_on(0.0) && is_beside(off, side, card.half_size_m)
            }
            Self::PlaceNextTo { other, side } => {
                let half = half_width(table, other);
                let off = at - other_pose(truth, other).translation.vector.xy();
                stands_on(0.0) && is_beside(off, side, half)
            }
            Self::Stack { other } => {
                let [_, _, below] = table.objects[other].solid.half_extents_m();
                let under = other_pose(truth, other);
                let off = at - under.translation.vector.xy();
                is_upright(&under)
                    && stands_on(under.translation.z + below)
                    && off.amax() <= half_width(table, other)
            }
            Self::Push { side } => {
                let way = Vector2::from(side.direction());
                let moved = at - Vector2::from(object.centre_xy);
                stands_on(0.0) && moved.dot(&way) >= PUSHED_M && moved.perp(&way).abs() <= STRAYED_M
            }
            Self::Lift => false,
        }
    }
}

fn is_upright(pose: &Isometry3<f64>) -> bool {
    (pose.rotation * Vector3::z()).z >= UPRIGHT_COS
}

/// Whether something `off` a thing's centre lies beyond its edge on that side, and not off to another.
fn is_beside(off: Vector2<f64>, side: Side, half_m: f64) -> bool {
    let way = Vector2::from(side.direction());
    let beyond = off.dot(&way) - half_m;
    (0.0..=BESIDE_M).contains(&beyond) && off.perp(&way).abs() <= half_m.max(STRAYED_M)
}

fn half_width(table: &Table, object: usize) -> f64 {
    let [x, y, _] = table.objects[object].solid.half_extents_m();
    x.min(y)
}

/// Where an object other than the first is.
fn other_pose(truth: &Truth, object: usize) -> Isometry3<f64> {
    object
        .checked_sub(1)
        .and_then(|place| truth.others_in_world.get(place))
        .copied()
        .unwrap_or(truth.cube_in_world)
}

#[cfg(test)]
mod tests {
    use nalgebra::{Point3, UnitQuaternion};

    use super::*;
    use crate::scene::{Scene, Split};
    use crate::table::{Object, Solid};

    /// Two cubes of 3 cm, 10 cm apart in y, and the benchmark's cards.
    fn table() -> Table {
        let mut table = Table::from(&Scene::new(Split::Train, 0));
        let cube = |y: f64| Object {
            solid: Solid::Box { half_m: [0.015; 3] },
            centre_xy: [0.0, y],
            yaw_rad: 0.0,
            rgb: None,
        };
        table.objects = vec![cube(0.7), cube(0.6)];
        table.cards[1].centre_xy = [0.2, 0.7];
        table
    }

    fn truth(table: &Table, at: [f64; 3]) -> Truth {
        Truth {
            cube_in_world: Isometry3::translation(at[0], at[1], at[2]),
            cube_speed: 0.0,
            tool_in_world: Isometry3::identity(),
            joint_angles: wink_runtime::arm::JointValues::filled(0.0, 6),
            max_joint_speed: 0.0,
            finger_m: 0.037,
            finger_force_n: [0.0; 2],
            grasped: false,
            others_in_world: vec![Isometry3::translation(0.0, 0.6, 0.015)],
            card_centres: table.cards.map(|card| Point3::from(card.centre())),
            target: 1,
        }
    }

    #[test]
    fn each_task_is_done_where_it_should_be_and_nowhere_else() {
        use Side::{Behind, Front, Left, Right};
        let table = table();
        let on = Task::PlaceOn { card: 1 };
        let beside = |side| Task::PlaceBeside { card: 1, side };
        let next = |side| Task::PlaceNextTo { other: 1, side };
        let stack = Task::Stack { other: 1 };
        let push = |side| Task::Push { side };
        let cases = [
            (on, [0.2, 0.7, 0.017], true),
            (on, [0.26, 0.64, 0.017], true),
            (on, [0.28, 0.7, 0.017], false),
            (on, [0.2, 0.7, 0.05], false),
            (beside(Left), [0.2, 0.8, 0.015], true),
            (beside(Right), [0.2, 0.8, 0.015], false),
            (beside(Right), [0.2, 0.6, 0.015], true),
            (beside(Front), [0.1, 0.7, 0.015], true),
            (beside(Behind), [0.3, 0.7, 0.015], true),
            (beside(Left), [0.2, 0.89, 0.015], false),
            (beside(Left), [0.05, 0.8, 0.015], false),
            (beside(Left), [0.2, 0.75, 0.017], false),
            (next(Left), [0.0, 0.65, 0.015], true),
            (next(Left), [0.0, 0.72, 0.015], false),
            (next(Front), [-0.05, 0.61, 0.015], true),
            (next(Front), [-0.05, 0.66, 0.015], false),
            (stack, [0.005, 0.595, 0.045], true),
            (stack, [0.005, 0.595, 0.06], false),
            (stack, [0.02, 0.6, 0.045], false),
            (push(Right), [0.01, 0.63, 0.015], true),
            (push(Right), [0.01, 0.66, 0.015], false),
            (push(Right), [0.04, 0.63, 0.015], false),
            (push(Left), [0.01, 0.63, 0.015], false),
        ];
        for (task, at, done) in cases {
            let truth = truth(&table, at);
            assert_eq!(task.is_done(&table, &truth), done, "{task:?} at {at:?}");
            for unfinished in [
                Truth {
                    grasped: true,
                    ..truth.clone()
                },
                Truth {
                    cube_speed: 0.1,
                    ..truth.clone()
                },
                Truth {
                    max_joint_speed: 0.3,
                    ..truth.clone()
                },
                Truth {
                    cube_in_world: Isometry3::from_parts(
                        truth.cube_in_world.translation,
                        UnitQuaternion::new(Vector3::x() * 0.4),
                    ),
                    ..truth.clone()
                },
            ] {
                assert!(!task.is_done(&table, &unfinished), "{task:?} at {at:?}");
            }
        }
    }

    #[test]
    fn lifted_is_held_up_and_still() {
        let table = table();
        for (z, grasped, speed, done) in [
            (0.12, true, 0.0, true),
            (0.08, true, 0.0, false),
            (0.12, false, 0.0, false),
            (0.12, true, 0.5, false),
        ] {
            let truth = Truth {
                grasped,
                max_joint_speed: speed,
                ..truth(&table, [0.0, 0.7, z])
            };
            assert_eq!(Task::Lift.is_done(&table, &truth), done, "{z} {grasped}");
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        let tasks = [
            Task::PlaceOn { card: 0 },
            Task::PlaceBeside {
                card: 0,
                side: Side::Left,
            },
            Task::PlaceNextTo {
                other: 1,
                side: Side::Left,
            },
            Task::Stack { other: 1 },
            Task::Lift,
            Task::Push { side: Side::Left },
        ];
        assert_eq!(tasks.map(|task| task.kind()), Task::KINDS);
    }
}
