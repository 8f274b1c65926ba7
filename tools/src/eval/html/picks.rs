//! "Ten right, ten wrong": which episodes are shown first.

use wink_sim::scene::Split;

use super::super::episode::Episode;
use super::super::instruction::Control;

/// How many of each.
const TEN: usize = 10;

/// Episodes that are shown first.
pub struct Picks<'a> {
    /// The cube on the named card.
    pub right: Vec<&'a Episode>,
    /// On another one; then, if there are fewer than ten, on none.
    pub wrong: Vec<&'a Episode>,
}

impl<'a> Picks<'a> {
    /// Picks among the pictured episodes outside the controls: from the split that matters first, spread over it evenly.
    pub fn of(episodes: &'a [Episode]) -> Self {
        let pictured: Vec<&Episode> = episodes
            .iter()
            .filter(|episode| episode.group.control == Control::None && !episode.strip.is_empty())
            .collect();
        let fitting = |fits: &dyn Fn(&Episode) -> bool| {
            Split::ALL
                .into_iter()
                .rev()
                .map(|split| {
                    pictured
                        .iter()
                        .copied()
                        .filter(|episode| episode.group.split == split && fits(episode))
                        .collect()
                })
                .collect::<Vec<Vec<&Episode>>>()
        };
        let right = fitting(&|episode| episode.success);
        let mut wrong = fitting(&|episode| episode.wrong_card().is_some());
        wrong.extend(fitting(&|episode| !episode.executed()));
        Self {
            right: take_ten(&right),
            wrong: take_ten(&wrong),
        }
    }

    /// Whether the episode is among them.
    pub fn contain(&self, episode: &Episode) -> bool {
        self.right
            .iter()
            .chain(&self.wrong)
            .any(|picked| picked.group == episode.group && picked.index == episode.index)
    }
}

/// Ten from the first lists that have some, evenly spread over each.
fn take_ten<'a>(lists: &[Vec<&'a Episode>]) -> Vec<&'a Episode> {
    let mut taken = Vec::new();
    for list in lists {
        let wanted = (TEN - taken.len()).min(list.len());
        taken.extend((0..wanted).map(|place| list[place * list.len() / wanted]));
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::super::super::episode::tests::episode;
    use super::*;

    fn numbered(mut episode: Episode, split: Split, index: usize) -> Episode {
        episode.group.split = split;
        episode.index = index;
        episode
    }

    fn indices(picked: &[&Episode]) -> Vec<(Split, usize)> {
        picked
            .iter()
            .map(|episode| (episode.group.split, episode.index))
            .collect()
    }

    #[test]
    fn val_comes_first_and_recognition_before_execution() {
        let mut episodes: Vec<Episode> = (0..40)
            .map(|index| numbered(episode(0, Some(0)), Split::Val, index))
            .collect();
        episodes.push(numbered(episode(0, None), Split::Val, 40));
        episodes.push(numbered(episode(0, Some(1)), Split::Val, 41));
        episodes.push(numbered(episode(0, Some(2)), Split::Id, 42));
        let mut unpictured = numbered(episode(0, Some(2)), Split::Val, 43);
        unpictured.strip.clear();
        episodes.push(unpictured);
        let mut control = numbered(episode(0, Some(2)), Split::Val, 44);
        control.group.control = Control::Nonsense;
        episodes.push(control);

        let picks = Picks::of(&episodes);
        let every_fourth: Vec<_> = (0..10).map(|place| (Split::Val, 4 * place)).collect();
        assert_eq!(indices(&picks.right), every_fourth);
        assert_eq!(
            indices(&picks.wrong),
            [(Split::Val, 41), (Split::Id, 42), (Split::Val, 40)]
        );
        assert!(picks.contain(&episodes[4]) && picks.contain(&episodes[40]));
        assert!(!picks.contain(&episodes[5]) && !picks.contain(&episodes[44]));
    }
}
