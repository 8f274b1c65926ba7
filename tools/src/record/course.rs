//! What a demonstration is of: an episode of the benchmark, or one of the other tasks.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use wink_sim::diverse::TaskExpert;
use wink_sim::expert::Expert;
use wink_sim::render::Appearance;
use wink_sim::{DiverseScene, MAX_STEPS, Scene, Setup, Table, Truth};

use crate::rollout::{Pilot, Rollout};

/// Which demonstrations are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tasks {
    /// The benchmark's: place the cube on an emoji card
    #[default]
    Emoji,
    /// Others of the same arm, without any emoji: place, stack, lift, push blocks and cylinders among plain cards
    Diverse,
}

/// One demonstration's scene and task.
pub enum Course {
    /// The benchmark's.
    Emoji(Scene),
    /// Another.
    Diverse(Box<DiverseScene>),
}

impl Course {
    /// The course of a cell with this number, the same whenever it is asked for. The other tasks are the benchmark's cell's.
    pub fn new(setup: &'static Setup, tasks: Tasks, number: u64) -> Self {
        match tasks {
            Tasks::Emoji => Self::Emoji(Scene::demonstration_on(setup, number)),
            Tasks::Diverse => Self::Diverse(Box::new(DiverseScene::new(number))),
        }
    }

    /// Its name in reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Emoji(_) => "emoji",
            Self::Diverse(scene) => scene.task.kind(),
        }
    }

    /// What lies on the table.
    pub fn table(&self) -> Table {
        match self {
            Self::Emoji(scene) => Table::from(scene),
            Self::Diverse(scene) => scene.table.clone(),
        }
    }

    /// A look of its own, drawn from a number.
    pub fn random_look(&self, number: u64) -> Appearance {
        match self {
            Self::Emoji(_) => Appearance::randomised(number),
            Self::Diverse(_) => Appearance::roaming(number),
        }
    }

    /// Who does it.
    pub fn expert(&self) -> Pilot {
        match self {
            Self::Emoji(scene) => Expert::new(scene).into(),
            Self::Diverse(scene) => TaskExpert::new(scene).into(),
        }
    }

    /// The task in words.
    pub fn instruction(&self) -> String {
        match self {
            Self::Emoji(scene) => scene.instruction(),
            Self::Diverse(scene) => scene.instruction.clone(),
        }
    }

    /// What the cards show, in words.
    pub fn card_labels(&self) -> [String; 3] {
        match self {
            Self::Emoji(scene) => scene.cards.map(|card| card.label().to_owned()),
            Self::Diverse(scene) => scene.card_labels.clone(),
        }
    }

    /// The card that the task is about, if it is about one.
    pub fn target(&self) -> Option<usize> {
        match self {
            Self::Emoji(scene) => Some(scene.target),
            Self::Diverse(scene) => scene.task.card(),
        }
    }

    /// Where the object is to be put.
    pub fn goal(&self, truth: &Truth) -> [f32; 3] {
        let goal = match self {
            Self::Emoji(_) => truth.target_card_position(),
            Self::Diverse(scene) => scene.goal.coords,
        };
        goal.cast::<f32>().into()
    }

    /// Whether the episode ends here.
    pub fn is_over(&self, rollout: &Rollout) -> bool {
        match self {
            Self::Emoji(_) => rollout.is_over(),
            Self::Diverse(scene) => rollout.steps() >= MAX_STEPS || scene.is_done(&rollout.truth()),
        }
    }

    /// Whether what the instruction says is done.
    pub fn is_done(&self, rollout: &Rollout) -> bool {
        match self {
            Self::Emoji(scene) => rollout.outcome().success(scene.target),
            Self::Diverse(scene) => scene.is_done(&rollout.truth()),
        }
    }
}
