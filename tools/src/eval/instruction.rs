//! What the policy is told: the benchmark's sentence, or what a control makes of it.

use rand::seq::index::sample;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use wink_sim::scene::{Scene, instruction};

/// Made-up words from studies of how children learn words, none of which names anything (e.g. Horst and Hout, "The
/// Novel Object and Unusual Name (NOUN) Database", 2016).
const MADE_UP: [&str; 16] = [
    "dax", "blicket", "wug", "toma", "fep", "modi", "koba", "gazzer", "tulver", "zorp", "pimwit",
    "dofa", "kaki", "glark", "virdex", "sprock",
];

/// Where the label stands in a paraphrase.
const LABEL: &str = "{label}";

/// The benchmark's sentence in other words.
const PARAPHRASES: [&str; 8] = [
    "drop the cube on the {label} card",
    "put the block onto the {label}",
    "place the blue cube on the card with the {label}",
    "move the block over to the {label}",
    "grab the cube and set it down on the {label}",
    "the block goes on the {label} card",
    "lay the cube on the picture of the {label}",
    "take the block and put it on {label}",
];

/// What is done to the instruction to see whether the policy heeds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Nothing: the benchmark itself.
    None,
    /// It names another of the three cards, and the episode is judged by the card it names: the cube must follow the words.
    OtherLabel,
    /// It names nothing, in made-up words, and the episode is judged by the original target: recognition must fall to chance.
    Nonsense,
    /// It names the target in another sentence: a policy that reads the label rather than the template loses nothing.
    Paraphrase,
}

impl Control {
    /// All controls, in the order in which they are run.
    pub const ALL: [Self; 3] = [Self::OtherLabel, Self::Nonsense, Self::Paraphrase];

    /// The name used on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::OtherLabel => "other_label",
            Self::Nonsense => "nonsense",
            Self::Paraphrase => "paraphrase",
        }
    }

    /// The control of this name, [`Control::None`] among them.
    pub fn by_name(name: &str) -> Option<Self> {
        let mut all = [Self::None].into_iter().chain(Self::ALL);
        all.find(|control| control.name() == name)
    }
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
        Control::Paraphrase => {
            let sentence = PARAPHRASES[random.random_range(0..PARAPHRASES.len())];
            Instruction {
                text: sentence.replace(LABEL, scene.cards[scene.target].label()),
                judged: scene.target,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wink_sim::emoji;
    use wink_sim::scene::Split;

    use super::*;

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
    fn paraphrases_name_the_target_in_other_sentences() {
        for sentence in PARAPHRASES {
            assert_eq!(sentence.matches(LABEL).count(), 1, "{sentence}");
            assert_ne!(sentence, instruction(LABEL));
            let words = format!(" {} ", sentence.replace(LABEL, ""));
            for emoji in emoji::all() {
                let label = format!(" {} ", emoji.label);
                assert!(!words.contains(&label), "{} is in {sentence}", emoji.label);
            }
        }
        let mut seen = [false; PARAPHRASES.len()];
        for seed in 0..100 {
            let scene = Scene::new(Split::Val, seed);
            let told = instruct(&scene, Control::Paraphrase);
            assert_eq!(told, instruct(&scene, Control::Paraphrase));
            assert_eq!(told.judged, scene.target);
            let label = scene.cards[scene.target].label();
            let sentence = PARAPHRASES.map(|sentence| sentence.replace(LABEL, label));
            let drawn = sentence.iter().position(|sentence| *sentence == told.text);
            seen[drawn.unwrap()] = true;
        }
        assert_eq!(seen, [true; PARAPHRASES.len()]);
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
