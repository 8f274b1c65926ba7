//! What is kept of an episode that was run.

use serde::{Deserialize, Serialize};
use wink_sim::outcome::Failure;

use super::board::LinkStats;
use super::motion::Jerk;
use super::plan::Group;
use super::timing::Late;

/// A card as the reader knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardName {
    /// The word in the instruction.
    pub label: String,
    /// The emoji itself.
    pub glyph: String,
    /// Its code points, as in the table of emojis.
    pub code: String,
}

/// One episode: everything but `timing` and `strip` is the same bits whenever it is run.
#[derive(Debug, Clone)]
pub struct Episode {
    /// What it is counted with.
    pub group: Group,
    /// Place in its group.
    pub index: usize,
    /// Seed of its scene.
    pub seed: u64,
    /// The cards on the table.
    pub cards: [CardName; 3],
    /// Card that the scene was made for.
    pub target: usize,
    /// Card by which it is judged: the target, or the one that the control's instruction names.
    pub judged: usize,
    /// What the policy was told.
    pub instruction: String,
    /// Card within whose circle the cube ended, at rest or not.
    pub placed_on: Option<usize>,
    /// Nearest card on which the cube was set down: at rest, arm at rest, let go.
    pub executed_on: Option<usize>,
    /// Whether the cube stands on the card by which the episode is judged. Cards can lie so near that it stands on two.
    pub success: bool,
    /// Whether the gripper held the cube at any time.
    pub ever_grasped: bool,
    /// Cube centre at the end, in the world, metres.
    pub cube: [f64; 3],
    /// Control steps run.
    pub steps: usize,
    /// Digest of every state the world went through, bit for bit.
    pub state_hash: u64,
    /// Why it failed; `None` where it succeeded.
    pub failure: Option<Failure>,
    /// What the board said when it held the arm, where it did.
    pub held: Option<String>,
    /// Time of the board that it took, seconds.
    pub seconds: f64,
    /// How smoothly the tool moved.
    pub jerk: Jerk,
    /// Ticks and chunks that were late.
    pub late: Late,
    /// What went over the link to the board.
    pub link: LinkStats,
    /// What it cost.
    pub timing: Timing,
    /// JPEG pictures of its course, first to last; empty where none were asked for.
    pub strip: Vec<Vec<u8>>,
}

impl Episode {
    /// The cube stands on some card.
    pub fn executed(&self) -> bool {
        self.executed_on.is_some()
    }

    /// The card on which the cube was set down although another one was named.
    pub fn wrong_card(&self) -> Option<usize> {
        self.executed_on.filter(|_| !self.success)
    }
}

/// Latencies in microseconds, one sample each time it happened.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Preprocessing and inference, where the policy was asked.
    pub policy_us: Vec<u64>,
    /// Physics and rendering of a tick.
    pub world_us: Vec<u64>,
    /// A whole tick.
    pub tick_us: Vec<u64>,
}

impl Timing {
    /// Takes in another episode's samples.
    pub fn append(&mut self, other: &Self) {
        self.policy_us.extend_from_slice(&other.policy_us);
        self.world_us.extend_from_slice(&other.world_us);
        self.tick_us.extend_from_slice(&other.tick_us);
    }
}

#[cfg(test)]
pub mod tests {
    use wink_sim::scene::Split;

    use super::super::instruction::Control;
    use super::*;

    /// An episode among goat, pizza and ear: which was named, and on which the cube was set down.
    pub fn episode(named: usize, set_down_on: Option<usize>) -> Episode {
        let card = |label: &str| CardName {
            label: label.to_owned(),
            glyph: String::new(),
            code: String::new(),
        };
        let success = set_down_on == Some(named);
        let missed = match set_down_on {
            Some(_) => Failure::WrongCard,
            None => Failure::Dropped,
        };
        Episode {
            group: Group {
                split: Split::Val,
                control: Control::None,
            },
            index: 0,
            seed: 0,
            cards: [card("goat"), card("pizza"), card("ear")],
            target: named,
            judged: named,
            instruction: String::new(),
            placed_on: set_down_on,
            executed_on: set_down_on,
            success,
            ever_grasped: true,
            cube: [0.0; 3],
            steps: 1,
            state_hash: 0,
            failure: (!success).then_some(missed),
            held: None,
            seconds: 0.05,
            jerk: Jerk::default(),
            late: Late::default(),
            link: LinkStats::default(),
            timing: Timing::default(),
            strip: vec![vec![0]],
        }
    }
}
