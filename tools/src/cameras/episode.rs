//! A recorded episode as cameras: its pictures at the rate at which they were recorded.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use wink_runtime::camera::{Camera, CameraError, Frame};
use wink_runtime::clock::{Clock, MonotonicClock};

use super::measure::Wanted;
use crate::bad_input::bad_input;
use crate::data::pictures::Pictures;
use crate::data::{Dataset, Kind};

/// One camera of an episode. Time begins with [`EpisodeCamera::start`].
pub struct EpisodeCamera {
    name: String,
    source: String,
    pictures: Pictures,
    fps: f64,
    length: usize,
    clock: MonotonicClock,
    start_us: u64,
    /// Pictures that were decoded.
    decoded: usize,
    newest: Frame,
}

/// All cameras of an episode.
pub fn cameras(root: &Path, episode: usize) -> Result<Vec<Wanted>> {
    let data = Dataset::open(root)?;
    let told = root.display();
    let Some(found) = data.episodes.get(episode) else {
        let count = data.episodes.len();
        return Err(bad_input(format!(
            "--number {episode}: {told} has {count} episodes, counted from 0"
        )));
    };
    let length = found.length;
    let at: Vec<usize> = (0..length).collect();
    let names = data.info.named(&[Kind::Image, Kind::Video]);
    if names.is_empty() {
        return Err(bad_input(format!("{told}: it has no cameras")));
    }
    let cameras = names.into_iter().map(|name| {
        Ok(Wanted::Episode(Box::new(EpisodeCamera {
            name: name.to_owned(),
            source: format!("episode {episode} of {told}"),
            pictures: data.pictures(episode, name, &at)?,
            fps: data.info.fps,
            length,
            clock: MonotonicClock::new(),
            start_us: 0,
            decoded: 0,
            newest: Frame::default(),
        })))
    });
    cameras.collect()
}

impl EpisodeCamera {
    /// Its name in the data set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For people.
    pub fn source(&self) -> String {
        self.source.clone()
    }

    /// The rate of the recording.
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// How long the episode is.
    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.length as f64 / self.fps)
    }

    /// Begins the episode now, on the time of `clock`.
    pub fn start(&mut self, clock: MonotonicClock) -> Result<(), CameraError> {
        // The first picture opens the file, which takes time that is not the episode's.
        self.decode()?;
        self.start_us = clock.now_us();
        self.clock = clock;
        Ok(())
    }

    /// Sleeps until the next picture is due.
    pub fn wait_for_next(&mut self) {
        let due_us = self.due_us(self.decoded);
        self.clock.sleep_until(due_us);
    }

    fn due_us(&self, picture: usize) -> u64 {
        self.start_us + (picture as f64 * 1e6 / self.fps) as u64
    }

    fn decode(&mut self) -> Result<(), CameraError> {
        let next = self.pictures.next(&mut self.newest);
        next.map_err(|error| CameraError::Device {
            message: format!("{}: {error:#}", self.name),
        })?;
        self.decoded += 1;
        Ok(())
    }
}

impl Camera for EpisodeCamera {
    fn capture(&mut self, frame: &mut Frame) -> Result<(), CameraError> {
        let now_us = self.clock.now_us();
        if now_us >= self.due_us(self.length) {
            return Err(CameraError::Device {
                message: format!("{}: {} is over", self.name, self.source),
            });
        }
        while self.decoded < self.length && self.due_us(self.decoded) <= now_us {
            self.decode()?;
        }
        frame.resize(self.newest.width, self.newest.height);
        frame.rgb.copy_from_slice(&self.newest.rgb);
        frame.time_us = self.due_us(self.decoded.saturating_sub(1));
        Ok(())
    }
}
