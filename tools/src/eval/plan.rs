//! Which episodes an evaluation runs, and what each is told.

use std::fmt;

use clap::ValueEnum;
use rand::seq::index::sample;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use wink_sim::scene::{Scene, Split, instruction};

/// Made-up words from studies of how children learn words, none of which names anything (e.g. Horst and Hout, "The
/// Novel Object and Unusual Name (NOUN) Database", 2016).
const MADE_UP: [&str; 16] = [
    "dax", "blicket", "wug", "toma", "fep", "modi", "koba", "gazzer", "tulver", "zorp", "pimwit",
    "dofa", "kaki", "glark", "virdex", "sprock",
];

/// `--split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitChoice {
    /// The card triples of the training demonstrations, at fresh places
    Id,
    /// New combinations of the training cards
    Train,
    /// Cards never seen in robot data: the number that matters
    Val,
    /// All three, one after the other
    All,
}

impl SplitChoice {
    fn splits(self) -> &'static [Split] {
        match self {
            Self::Id => &[Split::Id],
            Self::Train => &[Split::Train],
            Self::Val => &[Split::Val],
            Self::All => &Split::ALL,
        }
    }

    /// The split that the controls run on: the one that matters where it is among the chosen.
    fn control_split(self) -> Split {
        match self {
            Self::Id => Split::Id,
            Self::Train => Split::Train,
            Self::Val | Self::All => Split::Val,
        }
    }
}

/// What is done to the instruction to see whether the policy heeds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Nothing: the benchmark itself.
    None,
    /// It names another of the three cards, and the episode is judged by the card it names: the cube must follow the words.
    OtherLabel,
    /// It names nothing, in made-up words, and the episode is judged by the original target: recognition must fall to chance.
    Nonsense,
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::OtherLabel => "other_label",
            Self::Nonsense => "nonsense",
        })
    }
}

/// Episodes that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Where the cards are drawn from.
    pub split: Split,
    /// What is done to the instruction.
    pub control: Control,
}

impl Group {
    /// Key in reports: the split, or the control's name.
    pub fn key(self) -> String {
        match self.control {
            Control::None => self.split.name().to_owned(),
            control => control.to_string(),
        }
    }
}

/// The chosen splits, then both controls.
pub fn groups(choice: SplitChoice) -> Vec<Group> {
    let plain = choice.splits().iter().map(|&split| Group {
        split,
        control: Control::None,
    });
    let split = choice.control_split();
    let controls = [Control::OtherLabel, Control::Nonsense].map(|control| Group { split, control });
    plain.chain(controls).collect()
}

/// What the policy is told, and by which card the episode is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The words.
    pub text: String,
    /// Index among the scene's cards.
    pub judged: usize,
}

/// The instruction of this scene under a control; the same for the same scene.
pub fn instruct(scene: &Scene, control: Control) -> Instruction {
    let mut random = Pcg64::seed_from_u64(scene.seed);
    match control {
        Control::None => Instruction {
            text: scene.instruction(),
            judged: scene.target,
        },
        Control::OtherLabel => {
            let other =
                (scene.target + random.random_range(1..scene.cards.len())) % scene.cards.len();
            Instruction {
                text: scene.instruction_for(other),
                judged: other,
            }
        }
        Control::Nonsense => {
            let words = scene.cards[scene.target]
                .label()
                .split_whitespace()
                .count()
                .max(1);
            let made_up: Vec<&str> = sample(&mut random, MADE_UP.len(), words.min(MADE_UP.len()))
                .iter()
                .map(|word| MADE_UP[word])
                .collect();
            Instruction {
                text: instruction(&made_up.join(" ")),
                judged: scene.target,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wink_sim::emoji;

    use super::*;

    #[test]
    fn controls_follow_the_split_that_matters() {
        for (choice, count, split) in [
            (SplitChoice::All, 5, Split::Val),
            (SplitChoice::Id, 3, Split::Id),
            (SplitChoice::Train, 3, Split::Train),
            (SplitChoice::Val, 3, Split::Val),
        ] {
            let groups = groups(choice);
            assert_eq!(groups.len(), count);
            for group in groups.iter().filter(|group| group.control != Control::None) {
                assert_eq!(group.split, split);
            }
        }
    }

    #[test]
    fn made_up_words_name_no_card() {
        for word in MADE_UP {
            for emoji in emoji::all() {
                assert!(
                    !emoji.label.split_whitespace().any(|part| part == word),
                    "{word} is in {}",
                    emoji.label
                );
            }
        }
    }

    #[test]
    fn instructions_keep_the_template() {
        for seed in 0..50 {
            let scene = Scene::new(Split::Val, seed);
            let labels = scene.cards.map(|card| card.label());
            let plain = instruct(&scene, Control::None);
            assert_eq!(
                plain.text,
                format!("pick the block and place it on {}", labels[scene.target])
            );
            assert_eq!(plain.judged, scene.target);

            let other = instruct(&scene, Control::OtherLabel);
            assert_ne!(other.judged, scene.target);
            assert_eq!(
                other.text,
                format!("pick the block and place it on {}", labels[other.judged])
            );
            assert_eq!(other, instruct(&scene, Control::OtherLabel));

            let nonsense = instruct(&scene, Control::Nonsense);
            assert_eq!(nonsense.judged, scene.target);
            assert_eq!(
                nonsense.text.split_whitespace().count(),
                plain.text.split_whitespace().count()
            );
            assert!(nonsense.text.starts_with("pick the block and place it on "));
            assert!(
                !labels.iter().any(|label| nonsense.text.ends_with(label)),
                "{}",
                nonsense.text
            );
        }
    }
}
