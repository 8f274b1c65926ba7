//! Which episodes an evaluation runs.

use std::str::FromStr;

use clap::ValueEnum;
use wink_sim::scene::Split;

use super::instruction::Control;

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

/// `--controls`: which of them, in the order in which they are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controls(Vec<Control>);

impl Controls {
    /// Every one.
    pub fn all() -> Self {
        Self(Control::ALL.to_vec())
    }

    /// Not one.
    pub const fn none() -> Self {
        Self(Vec::new())
    }
}

impl FromStr for Controls {
    type Err = String;

    /// `all`, `none`, or names with commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => return Ok(Self::all()),
            "none" => return Ok(Self::none()),
            _ => {}
        }
        let mut chosen = [false; Control::ALL.len()];
        for name in text.split(',').map(str::trim) {
            let known = Control::ALL
                .iter()
                .position(|control| control.name() == name.replace('-', "_"));
            let Some(known) = known else {
                let names = Control::ALL.map(Control::name).join(", ");
                return Err(format!(
                    "no control \"{}\"; give all, none, or some of {names} with commas between them",
                    name.escape_debug()
                ));
            };
            chosen[known] = true;
        }
        let chosen = Control::ALL.into_iter().zip(chosen);
        Ok(Self(
            chosen
                .filter_map(|(control, chosen)| chosen.then_some(control))
                .collect(),
        ))
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
            control => control.name().to_owned(),
        }
    }
}

/// The chosen splits, then the chosen controls.
pub fn groups(choice: SplitChoice, controls: &Controls) -> Vec<Group> {
    let plain = choice.splits().iter().map(|&split| Group {
        split,
        control: Control::None,
    });
    let split = choice.control_split();
    let controls = controls.0.iter().map(|&control| Group { split, control });
    plain.chain(controls).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_follow_the_split_that_matters() {
        let all: Controls = "all".parse().unwrap();
        for (choice, count, split) in [
            (SplitChoice::All, 6, Split::Val),
            (SplitChoice::Id, 4, Split::Id),
            (SplitChoice::Train, 4, Split::Train),
            (SplitChoice::Val, 4, Split::Val),
        ] {
            let groups = groups(choice, &all);
            assert_eq!(groups.len(), count);
            for group in groups.iter().filter(|group| group.control != Control::None) {
                assert_eq!(group.split, split);
            }
        }
    }

    #[test]
    fn controls_are_chosen_by_name() {
        use Control::{Nonsense, OtherLabel, Paraphrase};
        let table: &[(&str, Option<&[Control]>)] = &[
            ("all", Some(&[OtherLabel, Nonsense, Paraphrase])),
            ("none", Some(&[])),
            ("paraphrase", Some(&[Paraphrase])),
            ("paraphrase, other-label", Some(&[OtherLabel, Paraphrase])),
            ("nonsense,nonsense", Some(&[Nonsense])),
            ("", None),
            ("all,nonsense", None),
            ("other label", None),
        ];
        for (text, want) in table {
            let got = text.parse::<Controls>().ok().map(|controls| controls.0);
            assert_eq!(got.as_deref(), *want, "{text}");
        }
    }
}
