//! What a policy is given of a recording: frames by their time, joints as its state vectors.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use wink_runtime::camera::Frame;
use wink_runtime::control::StateReader;
use wink_runtime::policy::manifest::Manifest;
use wink_runtime::policy::{CameraFrame, Observation};

use crate::bad_input::{as_bad_input, bad_input};
use crate::recording::{Facts, Picture, decode};

/// Frames of a camera that are kept: a chunk names frames that are older than the newest.
const KEPT_FRAMES: usize = 64;

/// The frames of the cameras that a policy looks through.
pub struct Seen {
    /// Place of each of the policy's cameras in the recording, and its name.
    cameras: Vec<(usize, String)>,
    kept: Vec<VecDeque<Picture>>,
    frames: Vec<Frame>,
}

impl Seen {
    /// Those of a policy.
    ///
    /// # Errors
    /// When the recording lacks one.
    pub fn of(manifest: &Manifest, facts: &Facts) -> Result<Self> {
        let place = |name: &str| {
            let place = facts.cameras.iter().position(|camera| camera.name == name);
            place.ok_or_else(|| {
                let names: Vec<&str> = facts.cameras.iter().map(|c| c.name.as_str()).collect();
                bad_input(format!(
                    "the policy looks through {name}, the recording has {}",
                    match names.is_empty() {
                        true => "no cameras".to_owned(),
                        false => names.join(", "),
                    }
                ))
            })
        };
        let cameras = manifest.observations.cameras.iter();
        let cameras = cameras
            .map(|camera| Ok((place(&camera.name)?, camera.name.clone())))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            kept: facts.cameras.iter().map(|_| VecDeque::new()).collect(),
            frames: vec![Frame::default(); cameras.len()],
            cameras,
        })
    }

    /// Keeps a frame.
    pub fn keep(&mut self, picture: Picture) {
        let Some(kept) = self.kept.get_mut(picture.camera) else {
            return;
        };
        if kept.len() == KEPT_FRAMES {
            kept.pop_front();
        }
        kept.push_back(picture);
    }

    /// Whether each camera has shown a frame.
    pub fn all(&self) -> bool {
        let mut cameras = self.cameras.iter();
        cameras.all(|(place, _)| !self.kept[*place].is_empty())
    }

    /// Decodes the frames of these times, of the recording's cameras in turn; the newest ones where there are no times. `false` where
    /// one was not recorded.
    pub fn look(&mut self, times_us: Option<&[u64]>) -> Result<bool> {
        for ((place, name), frame) in self.cameras.iter().zip(&mut self.frames) {
            let kept = &self.kept[*place];
            let picture = match times_us {
                None => kept.back(),
                Some(times) => {
                    let time = times.get(*place);
                    kept.iter().rev().find(|p| Some(&p.time_us) == time)
                }
            };
            let Some(picture) = picture else {
                return Ok(false);
            };
            let image = decode(&picture.bytes).with_context(|| format!("a frame of {name}"));
            let image = image.map_err(as_bad_input)?;
            frame.resize(image.width(), image.height());
            frame.rgb.copy_from_slice(&image);
            frame.time_us = picture.time_us;
        }
        Ok(true)
    }

    /// Hands the frames that were looked at last and a state to `with`.
    pub fn observe<T>(
        &self,
        states: &mut StateReader,
        measured: &[f64],
        with: impl FnOnce(&Observation<'_>) -> T,
    ) -> T {
        states.measure(measured);
        let cameras: Vec<CameraFrame<'_>> = self
            .cameras
            .iter()
            .zip(&self.frames)
            .map(|((_, name), frame)| CameraFrame { name, frame })
            .collect();
        with(&Observation {
            cameras: &cameras,
            states: &states.vectors(),
        })
    }
}
