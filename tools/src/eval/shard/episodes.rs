//! `episodes.jsonl`: everything that is kept of a shard's episodes.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use wink_sim::outcome::Failure;

use super::super::board::LinkStats;
use super::super::episode::{CardName, Episode, Timing};
use super::super::motion::Jerk;
use super::super::plan::Group;
use super::super::timing::Late;
use super::Shard;
use crate::bad_input::bad_input;
use crate::results::files::told;

/// No episode takes more: nine small pictures and a latency for each tick.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// An episode as a line holds it. Its group, index and seed follow from `piece`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    piece: usize,
    cards: [CardName; 3],
    target: usize,
    judged: usize,
    instruction: String,
    placed_on: Option<usize>,
    executed_on: Option<usize>,
    success: bool,
    ever_grasped: bool,
    /// Decimal text, exact: JSON numbers are read with an error in the last place.
    cube: [String; 3],
    steps: usize,
    state_hash: u64,
    failure: Option<String>,
    held: Option<String>,
    /// As `cube`.
    seconds: String,
    /// As `cube`; and how many times it was measured.
    jerk: (u64, String),
    late: Late,
    link: LinkStats,
    timing: Timing,
    strip: Vec<String>,
}

/// Writes a shard's episodes in their order.
pub fn write(path: &Path, shard: Shard, episodes: &[Episode]) -> Result<()> {
    let store = || -> Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for (place, episode) in episodes.iter().enumerate() {
            serde_json::to_writer(&mut file, &Line::of(shard.piece(place), episode))?;
            file.write_all(b"\n")?;
        }
        file.into_inner()?.sync_all()?;
        Ok(())
    };
    store().with_context(|| format!("writing {}", path.display()))
}

/// Reads a shard's episodes, each with its number in the whole run. `groups` with `episodes` each from `seed` are the run.
///
/// # Errors
/// When the file is not whole, or holds what no episode of the run can come to.
pub fn read(
    path: &Path,
    shard: Shard,
    groups: &[Group],
    episodes: usize,
    seed: u64,
) -> Result<Vec<(usize, Episode)>> {
    let size = shard.size(groups.len() * episodes);
    let mut file = BufReader::new(File::open(path).map_err(|error| told(path, error))?);
    let mut read = Vec::new();
    let mut text = String::new();
    loop {
        text.clear();
        let mut limited = file.by_ref().take(MAX_LINE_BYTES);
        let length = limited.read_line(&mut text).map_err(|e| told(path, e))?;
        if length == 0 {
            break;
        }
        let line_number = read.len() + 1;
        let fault = |message: String| {
            bad_input(format!("{}, line {line_number}: {message}", path.display()))
        };
        if length as u64 == MAX_LINE_BYTES {
            return Err(fault(format!("longer than {} MB", MAX_LINE_BYTES >> 20)));
        }
        let line: Line = serde_json::from_str(&text).map_err(|error| fault(error.to_string()))?;
        let piece = shard.piece(read.len());
        if line.piece != piece || read.len() >= size {
            return Err(fault(format!(
                "episode {} of the run instead of {piece}; shard {shard} has {size}",
                line.piece
            )));
        }
        let index = piece % episodes;
        let episode = line
            .episode(
                groups[piece / episodes],
                index,
                seed.wrapping_add(index as u64),
            )
            .map_err(fault)?;
        read.push((piece, episode));
    }
    if read.len() < size {
        return Err(bad_input(format!(
            "{}: {} of the {size} episodes of shard {shard}; run it again",
            path.display(),
            read.len()
        )));
    }
    Ok(read)
}

impl Line {
    fn of(piece: usize, episode: &Episode) -> Self {
        Self {
            piece,
            cards: episode.cards.clone(),
            target: episode.target,
            judged: episode.judged,
            instruction: episode.instruction.clone(),
            placed_on: episode.placed_on,
            executed_on: episode.executed_on,
            success: episode.success,
            ever_grasped: episode.ever_grasped,
            cube: episode.cube.map(|metres| metres.to_string()),
            steps: episode.steps,
            state_hash: episode.state_hash,
            failure: episode.failure.map(|kind| kind.name().to_owned()),
            held: episode.held.clone(),
            seconds: episode.seconds.to_string(),
            jerk: (episode.jerk.n, episode.jerk.rms.to_string()),
            late: episode.late,
            link: episode.link,
            timing: episode.timing.clone(),
            strip: episode
                .strip
                .iter()
                .map(|jpeg| BASE64.encode(jpeg))
                .collect(),
        }
    }

    fn episode(self, group: Group, index: usize, seed: u64) -> Result<Episode, String> {
        let cards = self.cards.len();
        let named = [
            Some(self.target),
            Some(self.judged),
            self.placed_on,
            self.executed_on,
        ];
        if let Some(card) = named.into_iter().flatten().find(|&card| card >= cards) {
            return Err(format!("card {card} of {cards}"));
        }
        let mut cube = [0.0; 3];
        let number = |name: &str, text: &str| -> Result<f64, String> {
            text.parse().map_err(|e| format!("{name} {text:.40}: {e}"))
        };
        for (metres, text) in cube.iter_mut().zip(&self.cube) {
            *metres = number("cube", text)?;
        }
        let failure = self.failure.map(|name| {
            let mut kinds = Failure::ALL.into_iter();
            let known = kinds.find(|kind| kind.name() == name);
            known.ok_or_else(|| format!("there is no failure \"{}\"", name.escape_debug()))
        });
        let pictures = self.strip.iter().map(|jpeg| BASE64.decode(jpeg));
        Ok(Episode {
            group,
            index,
            seed,
            cards: self.cards,
            target: self.target,
            judged: self.judged,
            instruction: self.instruction,
            placed_on: self.placed_on,
            executed_on: self.executed_on,
            success: self.success,
            ever_grasped: self.ever_grasped,
            cube,
            steps: self.steps,
            state_hash: self.state_hash,
            failure: failure.transpose()?,
            held: self.held,
            seconds: number("seconds", &self.seconds)?,
            jerk: Jerk {
                n: self.jerk.0,
                rms: number("jerk", &self.jerk.1)?,
            },
            late: self.late,
            link: self.link,
            timing: self.timing,
            strip: pictures
                .collect::<Result<_, _>>()
                .map_err(|error| format!("strip: {error}"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use wink_sim::scene::Split;

    use super::super::super::episode::tests::episode;
    use super::super::super::instruction::Control;
    use super::*;

    const GROUPS: [Group; 1] = [Group {
        split: Split::Val,
        control: Control::None,
    }];

    fn episodes() -> Vec<Episode> {
        let cubes = [0.1 + 0.2, f64::MIN_POSITIVE, -1.0 / 3.0];
        let made = [(0, Some(0)), (1, Some(2)), (2, None)];
        let mut made: Vec<Episode> = made.iter().map(|&(named, on)| episode(named, on)).collect();
        for (index, episode) in made.iter_mut().enumerate() {
            episode.index = index;
            episode.seed = 40 + index as u64;
            episode.cube = cubes.map(|metres| metres * (index + 1) as f64);
            episode.state_hash = u64::MAX - index as u64;
        }
        made[2].failure = Some(Failure::Held);
        made[2].held = Some("the arm is held: a joint was stalled".to_owned());
        made
    }

    #[test]
    fn episodes_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(super::super::EPISODES);
        write(&path, Shard::WHOLE, &episodes()).unwrap();
        let read = read(&path, Shard::WHOLE, &GROUPS, 3, 40).unwrap();
        for (place, ((piece, read), written)) in read.iter().zip(episodes()).enumerate() {
            assert_eq!(*piece, place);
            assert_eq!(format!("{read:?}"), format!("{written:?}"));
            assert_eq!(read.cube.map(f64::to_bits), written.cube.map(f64::to_bits));
        }
    }

    #[test]
    fn broken_files_are_told_with_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(super::super::EPISODES);
        write(&path, Shard::WHOLE, &episodes()).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = whole.lines().collect();
        let cases = [
            (lines[..2].join("\n"), "2 of the 3 episodes"),
            ([&lines[..], &lines[2..]].concat().join("\n"), "line 4"),
            (
                [lines[0], lines[2], lines[1]].join("\n"),
                "line 2: episode 2",
            ),
            (whole[..whole.len() / 2].to_owned(), "line 2"),
            (
                whole.replacen("\"judged\":0", "\"judged\":3", 1),
                "card 3 of 3",
            ),
            (
                whole.replacen("wrong_card", "wrong", 1),
                "no failure \"wrong\"",
            ),
        ];
        for (text, told) in cases {
            std::fs::write(&path, text).unwrap();
            let error = read(&path, Shard::WHOLE, &GROUPS, 3, 40).unwrap_err();
            assert_eq!(crate::bad_input::exit_code(&error), 2, "{told}");
            let error = crate::bad_input::one_line(&error);
            assert!(error.contains(told), "no {told} in {error}");
        }
    }
}
