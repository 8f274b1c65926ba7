//! Plays a recorded episode again, checks it against the recording, and hands out the frames that are kept.

use anyhow::Result;
use wink_runtime::camera::Frame;
use wink_sim::render::Window;

use super::crop::cut;
use super::dataset::Dataset;
use crate::bad_input::bad_input;
use crate::record::demonstration::{Attempt, Settings};

/// Whether a frame is kept when one in `every` is.
pub fn is_kept(episode: usize, frame: usize, every: u64) -> bool {
    (episode as u64 + frame as u64).is_multiple_of(every)
}

/// Plays episodes again; keeps its buffers from one to the next.
pub struct Player<'a> {
    dataset: &'a Dataset,
    settings: Settings,
    every: u64,
    camera: usize,
    crop: Window,
    frame: Frame,
    cropped: Vec<u8>,
}

impl<'a> Player<'a> {
    /// For frames of `settings`, which may be of another size than the recorded ones.
    pub fn new(
        dataset: &'a Dataset,
        settings: Settings,
        every: u64,
        camera: usize,
        crop: Window,
    ) -> Self {
        Self {
            dataset,
            settings,
            every,
            camera,
            crop,
            frame: Frame::default(),
            cropped: Vec::new(),
        }
    }

    /// Calls `take` with the pixels of each frame of the episode that is kept, in order.
    pub fn play(
        &mut self,
        episode: usize,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let recorded = &self.dataset.episodes[episode];
        let states = self.dataset.states(episode);
        let mut attempt = Attempt::begin(
            &self.settings,
            Some(self.crop),
            recorded.number,
            recorded.attempt,
        )?;
        for (frame, state) in states.iter().enumerate() {
            let goes_on = attempt.goes_on();
            if goes_on && is_kept(episode, frame, self.every) {
                attempt.look(self.camera, &mut self.frame)?;
                cut(&self.crop, &self.frame, &mut self.cropped);
                take(&self.cropped)?;
            }
            let replayed = match goes_on {
                true => attempt.step()?,
                false => None,
            };
            if !replayed.is_some_and(|(replayed, _)| same_bits(&replayed, state)) {
                return Err(differs(episode, frame, recorded.number));
            }
        }
        if attempt.goes_on() {
            return Err(differs(episode, states.len(), recorded.number));
        }
        Ok(())
    }
}

/// Whether two states are the same, bit for bit.
pub fn same_bits(one: &[f32], other: &[f32]) -> bool {
    let bits = |state: &[f32]| {
        state
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<_>>()
    };
    bits(one) == bits(other)
}

fn differs(episode: usize, frame: usize, number: u64) -> anyhow::Error {
    bad_input(format!(
        "episode {episode}, frame {frame}: demonstration {number} played again is not what was recorded; \
         record the dataset again with this version"
    ))
}
