//! The loop's handle to a recording.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use wink_runtime::arm::{ArmDescription, JointValues};
use wink_runtime::camera::{Camera, Frame};
use wink_runtime::policy::ActionChunk;
use wink_runtime::rig::{NamedCamera, Rig};
use wink_runtime::session::TickReport;

use super::queue::{Lost, Queue};
use super::sink::Storage;
use super::writer::{Writer, Written};
use super::{Event, Facts, Tap};
use crate::bad_input::as_bad_input;

/// Records a run. None of its methods waits for the disk; but for [`Recorder::event`], none allocates in steady state.
pub struct Recorder {
    path: PathBuf,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<Written>>,
}

/// What a recording holds.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Where it is.
    pub path: PathBuf,
    /// Messages in it.
    pub messages: u64,
    /// Its size.
    pub bytes: u64,
    /// What was left out, as the disk could not keep up or failed.
    pub lost: Lost,
    /// Why it ends before the run did, where that is so.
    pub trouble: Option<String>,
}

impl Recorder {
    /// Begins a recording in a new file. `now_us` is the present time on the clock of the loop.
    ///
    /// # Errors
    /// When there is such a file already, or it cannot be written.
    pub fn start(path: &Path, facts: Facts, arm: &ArmDescription, now_us: u64) -> Result<Self> {
        let told = || format!("--record {}", path.display());
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let file = file.map_err(|error| as_bad_input(error).context(told()))?;
        Self::start_on(file, path, facts, arm, now_us).with_context(told)
    }

    pub(super) fn start_on(
        storage: impl Storage,
        path: &Path,
        mut facts: Facts,
        arm: &ArmDescription,
        now_us: u64,
    ) -> Result<Self> {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix_us = unix.map_or(0, |time| time.as_micros() as u64);
        facts.clock_zero_us = unix_us.saturating_sub(now_us);
        let writer = Writer::create(storage, facts, arm)?;
        let queue = Arc::new(Queue::new());
        let theirs = Arc::clone(&queue);
        let thread = Builder::new()
            .name("wink-recorder".to_owned())
            .spawn(move || writer.run(&theirs))
            .context("the thread that writes cannot be started")?;
        Ok(Self {
            path: path.to_owned(),
            queue,
            thread: Some(thread),
        })
    }

    /// Records every frame that the cameras of a rig capture from now on. They are in the order of [`Facts::cameras`].
    pub fn tap(&self, rig: &mut Rig) {
        self.tap_all(&mut rig.cameras);
    }

    /// The same of cameras that are in no rig.
    pub fn tap_all(&self, cameras: &mut [NamedCamera]) {
        for (place, named) in cameras.iter_mut().enumerate() {
            let camera = std::mem::replace(&mut named.camera, Box::new(Nothing));
            named.camera = Box::new(Tap::new(camera, place, Arc::clone(&self.queue)));
        }
    }

    /// Records a tick.
    pub fn tick(&self, report: &TickReport) {
        self.queue.tick(report);
    }

    /// Records a chunk that arrived, and what it was made of: the frames that the policy saw (their times; the frames themselves
    /// come from [`Recorder::tap`]) and the joints at `observed_us`.
    pub fn chunk(
        &self,
        arrived_us: u64,
        chunk: &ActionChunk,
        frames: &[Frame],
        measured: &JointValues,
        observed_us: u64,
    ) {
        self.queue.chunk(chunk, |observed| {
            observed.arrived_us = arrived_us;
            observed.observed_us = observed_us;
            observed.measured = *measured;
            let times = frames.iter().map(|frame| frame.time_us);
            observed
                .frames_us
                .extend(times.take(observed.frames_us.capacity()));
        });
    }

    /// Records an event.
    pub fn event(&self, time_us: u64, event: Event) {
        self.queue.event(time_us, event);
    }

    /// Where the recording is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why nothing is recorded any more, where that is so: a full disk, a pulled card.
    pub fn trouble(&self) -> Option<String> {
        self.queue.trouble()
    }

    /// Ends the recording.
    pub fn finish(mut self) -> Summary {
        let written = self.end();
        Summary {
            path: self.path.clone(),
            messages: written.messages,
            bytes: written.bytes,
            lost: self.queue.lost(),
            trouble: self.queue.trouble(),
        }
    }

    fn end(&mut self) -> Written {
        self.queue.close();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(_)) => {
                self.queue
                    .fail("the thread that writes has ended".to_owned());
                Written::default()
            }
            None => Written::default(),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

/// Stands in the place of a camera that is about to be tapped.
struct Nothing;

impl Camera for Nothing {
    fn capture(&mut self, _: &mut Frame) -> Result<(), wink_runtime::camera::CameraError> {
        Err(wink_runtime::camera::CameraError::TimedOut { waited_us: 0 })
    }
}
