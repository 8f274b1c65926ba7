//! What an episode came to: the benchmark's conditions, and what failure analysis asks for.

use crate::scene::CUBE_EDGE_M;
use crate::table::{FlatCard, Table};
use nalgebra::{Isometry3, Point3, Vector3};
use wink_runtime::arm::JointValues;

/// Steps after which an episode ends in any case.
pub const MAX_STEPS: usize = 200;
/// The arm counts as static up to this speed of its fastest joint, radians per second.
pub const STATIC_SPEED_RAD_S: f64 = 0.2;
/// The cube counts as lifted when its centre is this high and the fingers hold it.
pub const LIFTED_Z_M: f64 = CUBE_EDGE_M;

/// The cube is placed on a card when their centres are at most this far apart.
#[must_use]
pub fn placed_distance_m(card: &FlatCard) -> f64 {
    card.half_size_m * std::f64::consts::SQRT_2
}

/// The true state of the table, which no policy but a script may look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// The cube's centre and orientation in the world.
    pub cube_in_world: Isometry3<f64>,
    /// The cube's speed, metres per second.
    pub cube_speed: f64,
    /// The tool frame in the world.
    pub tool_in_world: Isometry3<f64>,
    /// The arm's joint angles, radians.
    pub joint_angles: JointValues,
    /// Speed of the arm's fastest joint, radians per second.
    pub max_joint_speed: f64,
    /// Travel of one finger, metres.
    pub finger_m: f64,
    /// How hard left and right finger push on the cube, newtons.
    pub finger_force_n: [f64; 2],
    /// Whether both fingers hold the cube, as the benchmark defines it.
    pub grasped: bool,
    /// Centres and orientations of the other objects, where there are any.
    pub others_in_world: Vec<Isometry3<f64>>,
    /// Centres of the cards in the world.
    pub card_centres: [Point3<f64>; 3],
    /// Index of the card that the scene's own instruction names.
    pub target: usize,
}

impl Truth {
    /// The cube's centre in the world.
    #[must_use]
    pub fn cube_position(&self) -> Vector3<f64> {
        self.cube_in_world.translation.vector
    }

    /// The centre of the card that the scene's own instruction names.
    #[must_use]
    pub fn target_card_position(&self) -> Vector3<f64> {
        self.card_centres[self.target].coords
    }
}

/// Why an episode was no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// The fingers never held the cube.
    NeverGrasped,
    /// The cube was held and lost, and lies neither on nor near a card.
    Dropped,
    /// The cube was released among the cards but on none.
    BetweenCards,
    /// The cube was placed on a card that the instruction does not name.
    WrongCard,
    /// The steps ran out with the cube in hand or the arm in motion.
    TimedOut,
    /// The board held the arm: a guard of its firmware, or a fault. The table does not show it: see [`Outcome::failure`].
    Held,
}

impl Failure {
    /// All kinds, in the order of a report.
    pub const ALL: [Self; 6] = [
        Self::NeverGrasped,
        Self::Dropped,
        Self::BetweenCards,
        Self::WrongCard,
        Self::TimedOut,
        Self::Held,
    ];

    /// The name used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverGrasped => "never_grasped",
            Self::Dropped => "dropped",
            Self::BetweenCards => "between_cards",
            Self::WrongCard => "wrong_card",
            Self::TimedOut => "timed_out",
            Self::Held => "held",
        }
    }
}

/// How things stand on the table, and what has happened so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// For each card whether the cube's centre is near enough to the card's.
    pub placed: [bool; 3],
    /// The nearest of the cards that the cube is placed on.
    pub placed_on: Option<usize>,
    /// Whether the arm stands still.
    pub is_static: bool,
    /// Whether both fingers hold the cube.
    pub grasped: bool,
    /// Whether they ever did.
    pub ever_grasped: bool,
    /// Whether the cube ever left the table in the fingers' hold.
    pub ever_lifted: bool,
    /// Where the cube's centre was when a lifted cube last left the fingers.
    pub released_at: Option<[f64; 3]>,
    /// The cube's centre.
    pub cube_m: [f64; 3],
    /// Distance from the cube's centre to each card's.
    pub card_distance_m: [f64; 3],
}

impl Outcome {
    /// The card that the cube was set down on: placed, arm static, not grasped. An episode ends here.
    #[must_use]
    pub fn executed(&self) -> Option<usize> {
        self.placed_on.filter(|_| self.is_static && !self.grasped)
    }

    /// Whether the cube was set down on card `target`.
    #[must_use]
    pub fn success(&self, target: usize) -> bool {
        self.executed().is_some() && self.placed.get(target).copied().unwrap_or(false)
    }

    /// Whether the cube fell off the table.
    #[must_use]
    pub fn off_table(&self) -> bool {
        self.cube_m[2] < 0.0
    }

    /// Why the episode, ending now, is no success for card `target`, as far as the table shows it; `None` where it is one.
    #[must_use]
    pub fn failure(&self, target: usize) -> Option<Failure> {
        if self.success(target) {
            return None;
        }
        Some(match (self.executed(), self.placed_on) {
            (Some(_), _) => Failure::WrongCard,
            (None, _) if !self.ever_grasped => Failure::NeverGrasped,
            (None, Some(_)) => Failure::TimedOut,
            (None, None) if self.grasped => Failure::TimedOut,
            (None, None) if self.among_cards() => Failure::BetweenCards,
            (None, None) => Failure::Dropped,
        })
    }

    /// Whether the cube lies within the row of cards: in reach of one card's edge in x and between the outer cards in y.
    fn among_cards(&self) -> bool {
        const NEAR_M: f64 = 0.15;
        self.ever_lifted
            && !self.off_table()
            && self
                .card_distance_m
                .iter()
                .any(|&distance| distance <= NEAR_M)
    }
}

/// Follows an episode substep by substep.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracker {
    ever_grasped: bool,
    ever_lifted: bool,
    holding: bool,
    released_at: Option<[f64; 3]>,
    last_cube_m: [f64; 3],
}

impl Tracker {
    pub(crate) fn observe(&mut self, cube_m: [f64; 3], grasped: bool) {
        self.ever_grasped |= grasped;
        if grasped && cube_m[2] > LIFTED_Z_M {
            self.ever_lifted = true;
            self.holding = true;
        }
        if self.holding && !grasped {
            self.holding = false;
            self.released_at = Some(self.last_cube_m);
        }
        self.last_cube_m = cube_m;
    }

    pub(crate) fn outcome(&self, truth: &Truth, table: &Table) -> Outcome {
        let cube = truth.cube_position();
        let card_distance_m = truth
            .card_centres
            .map(|centre| (cube - centre.coords).norm());
        let placed = std::array::from_fn(|card| {
            card_distance_m[card] <= placed_distance_m(&table.cards[card])
        });
        let placed_on = (0..3)
            .filter(|&card| placed[card])
            .min_by(|&a, &b| card_distance_m[a].total_cmp(&card_distance_m[b]));
        Outcome {
            placed,
            placed_on,
            is_static: truth.max_joint_speed <= STATIC_SPEED_RAD_S,
            grasped: truth.grasped,
            ever_grasped: self.ever_grasped,
            ever_lifted: self.ever_lifted,
            released_at: self.released_at,
            cube_m: cube.into(),
            card_distance_m,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{Scene, Split};

    fn scene() -> Scene {
        let mut scene = Scene::new(Split::Train, 0);
        for (card, centre) in scene.cards.iter_mut().zip(crate::scene::CARD_CENTRES_XY) {
            card.centre_xy = centre;
        }
        scene
    }

    fn truth(scene: &Scene, cube: [f64; 3], grasped: bool, max_joint_speed: f64) -> Truth {
        Truth {
            cube_in_world: Isometry3::translation(cube[0], cube[1], cube[2]),
            cube_speed: 0.0,
            tool_in_world: Isometry3::identity(),
            joint_angles: JointValues::filled(0.0, 6),
            max_joint_speed,
            finger_m: 0.037,
            finger_force_n: [0.0; 2],
            grasped,
            others_in_world: Vec::new(),
            card_centres: scene.cards.map(|card| Point3::from(card.centre())),
            target: 1,
        }
    }

    #[test]
    fn every_end_of_an_episode_has_its_name() {
        let scene = scene();
        let (table, lifted) = ([0.02, 0.7, 0.015], [0.02, 0.7, 0.06]);
        let held = [(table, true), (lifted, true)];
        struct Case<'a> {
            before: &'a [([f64; 3], bool)],
            cube: [f64; 3],
            grasped: bool,
            speed: f64,
            executed: Option<usize>,
            failure: Option<Failure>,
        }
        let on_card = |y| [0.2, y, 0.017];
        let end = |before, cube| Case {
            before,
            cube,
            grasped: false,
            speed: 0.0,
            executed: None,
            failure: None,
        };
        // The instruction names card 1, the middle one.
        #[rustfmt::skip]
        let cases = [
            Case { executed: Some(1), ..end(&held, on_card(0.72)) },
            Case { executed: Some(1), ..end(&[], on_card(0.72)) },
            Case { executed: Some(0), failure: Some(Failure::WrongCard), ..end(&held, on_card(0.9)) },
            Case { grasped: true, failure: Some(Failure::TimedOut), ..end(&held, on_card(0.7)) },
            Case { speed: 0.3, failure: Some(Failure::TimedOut), ..end(&held, on_card(0.7)) },
            Case { grasped: true, failure: Some(Failure::TimedOut), ..end(&held, lifted) },
            Case { failure: Some(Failure::NeverGrasped), ..end(&[], table) },
            Case { failure: Some(Failure::BetweenCards), ..end(&held, [0.08, 0.7, 0.015]) },
            Case { failure: Some(Failure::Dropped), ..end(&held, table) },
            Case { failure: Some(Failure::Dropped), ..end(&held, [0.2, 0.1, -0.735]) },
        ];
        for (index, case) in cases.into_iter().enumerate() {
            let Case {
                before,
                cube,
                grasped,
                speed,
                executed,
                failure,
            } = case;
            let mut tracker = Tracker::default();
            for &(cube, grasped) in before {
                tracker.observe(cube, grasped);
            }
            tracker.observe(cube, grasped);
            let outcome =
                tracker.outcome(&truth(&scene, cube, grasped, speed), &Table::from(&scene));
            assert_eq!(outcome.executed(), executed, "case {index}: {outcome:?}");
            assert_eq!(outcome.failure(1), failure, "case {index}: {outcome:?}");
            assert_eq!(
                outcome.success(1),
                failure.is_none(),
                "case {index}: {outcome:?}"
            );
        }
    }

    #[test]
    fn placed_ends_at_the_half_diagonal_of_a_card() {
        let scene = scene();
        let [x, y, z] = scene.cards[1].centre();
        for (offset, placed) in [(0.098, true), (0.0995, false)] {
            let outcome = Tracker::default().outcome(
                &truth(&scene, [x - offset, y, z], false, 0.2),
                &Table::from(&scene),
            );
            assert_eq!(outcome.placed_on.is_some(), placed, "{offset}");
            assert!(outcome.is_static);
        }
    }

    #[test]
    fn between_two_overlapping_cards_both_count_and_the_nearer_is_executed() {
        let mut scene = scene();
        scene.cards[0].centre_xy = [0.2, 0.88];
        let outcome = Tracker::default().outcome(
            &truth(&scene, [0.2, 0.795, 0.015], false, 0.0),
            &Table::from(&scene),
        );
        assert_eq!(outcome.placed, [true, true, false]);
        assert_eq!(outcome.executed(), Some(0));
        assert!(outcome.success(0) && outcome.success(1) && !outcome.success(2));
        assert!(!outcome.success(9));
    }

    #[test]
    fn a_drop_is_remembered_where_it_happened() {
        let mut tracker = Tracker::default();
        for (z, grasped) in [
            (0.015, false),
            (0.015, true),
            (0.05, true),
            (0.08, true),
            (0.07, false),
            (0.015, false),
        ] {
            tracker.observe([0.1, 0.7, z], grasped);
        }
        let scene = scene();
        let outcome = tracker.outcome(
            &truth(&scene, [0.1, 0.7, 0.015], false, 0.0),
            &Table::from(&scene),
        );
        assert_eq!(outcome.released_at, Some([0.1, 0.7, 0.08]));
        assert!(outcome.ever_grasped && outcome.ever_lifted && !outcome.grasped);
    }
}
