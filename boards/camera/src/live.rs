//! A running camera.

use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use wink_runtime::camera::{Camera, CameraError, Frame, Freshness};
use wink_runtime::clock::{Clock, MonotonicClock};

use crate::decode::Decoder;
use crate::newest::{Counts, NoFrame, RawFrame, Reader, Writer, newest_frame};
use crate::{CameraConfig, Layout, SetupError};

/// How long the first frame may take: a camera that was off adjusts itself first.
const FIRST_FRAME: Duration = Duration::from_secs(5);

/// A camera that streams on a thread of its own.
#[derive(Debug)]
pub struct LiveCamera {
    name: String,
    mode: Layout,
    fps: f64,
    pinned: Vec<(String, i64)>,
    timeout: Duration,
    /// Frames younger than this may be returned twice.
    again_us: u64,
    clock: MonotonicClock,
    reader: Reader,
    decoder: Decoder,
    thread: Option<JoinHandle<()>>,
    /// What an error names: a device or a command.
    source: String,
}

/// What a source says of itself when it starts.
pub(crate) struct Started {
    pub(crate) mode: Layout,
    pub(crate) fps: f64,
    pub(crate) pinned: Vec<(String, i64)>,
    pub(crate) source: String,
}

impl LiveCamera {
    /// Runs `capture` on a thread until the camera is dropped.
    pub(crate) fn start(
        config: &CameraConfig,
        clock: &MonotonicClock,
        started: Started,
        capture: impl FnOnce(Writer) + Send + 'static,
    ) -> Result<Self, SetupError> {
        let (writer, reader) = newest_frame();
        let thread = Builder::new()
            .name(format!("camera-{}", config.name))
            .spawn(move || capture(writer))
            .map_err(|source| SetupError::Thread {
                camera: config.name.clone(),
                source,
            })?;
        let period_us = 1e6 / started.fps;
        Ok(Self {
            name: config.name.clone(),
            mode: started.mode,
            fps: started.fps,
            pinned: started.pinned,
            timeout: config.timeout,
            again_us: (period_us * 1.5) as u64,
            clock: clock.clone(),
            reader,
            decoder: Decoder::default(),
            thread: Some(thread),
            source: started.source,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Format and size of its frames.
    #[must_use]
    pub fn mode(&self) -> &Layout {
        &self.mode
    }

    /// The rate that was agreed on, frames a second.
    #[must_use]
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// The controls that were set, as read back.
    #[must_use]
    pub fn pinned(&self) -> &[(String, i64)] {
        &self.pinned
    }

    /// What it has met.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.reader.counts()
    }

    /// Waits for a frame that was not returned before, without decoding it.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn next_raw(&mut self, timeout: Duration) -> Result<&RawFrame, CameraError> {
        match self.reader.take(timeout, |_| false) {
            Ok(()) => Ok(&self.reader.front),
            Err(why) => Err(self.no_frame(why, timeout)),
        }
    }

    /// Decodes the frame that came last.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn decode(&mut self, frame: &mut Frame) -> Result<(), CameraError> {
        let raw = &self.reader.front;
        frame.time_us = raw.time_us;
        self.decoder
            .decode(&raw.layout, &raw.bytes, frame)
            .map_err(|error| {
                self.reader.count(|counts| counts.damaged += 1);
                CameraError::Device {
                    message: format!("camera {}: {error}", self.name),
                }
            })
    }

    /// Waits until it has shown that it works.
    pub(crate) fn wait_for_first_frame(&mut self) -> Result<(), SetupError> {
        let mut frame = Frame::default();
        let deadline_us = self.clock.now_us() + FIRST_FRAME.as_micros() as u64;
        loop {
            let left_us = deadline_us.saturating_sub(self.clock.now_us());
            let why = match self.reader.take(Duration::from_micros(left_us), |_| false) {
                Ok(()) => match self.decode(&mut frame) {
                    Ok(()) => return Ok(()),
                    Err(_) if left_us > 0 => continue,
                    Err(error) => error.to_string(),
                },
                Err(NoFrame::Gone(why)) => why,
                Err(NoFrame::TimedOut) => format!(
                    "it gives no frame within {} s: is it frozen? Unplug it and plug it in again",
                    FIRST_FRAME.as_secs()
                ),
            };
            return Err(SetupError::Open {
                camera: self.name.clone(),
                path: self.source.clone(),
                message: why,
            });
        }
    }

    fn no_frame(&self, why: NoFrame, waited: Duration) -> CameraError {
        let why = match why {
            NoFrame::Gone(why) => why,
            NoFrame::TimedOut => format!(
                "no frame came within {} ms: is it frozen, or its cable loose?",
                waited.as_millis()
            ),
        };
        CameraError::Device {
            message: format!("camera {}: {}: {why}", self.name, self.source),
        }
    }
}

impl Camera for LiveCamera {
    fn capture(&mut self, frame: &mut Frame) -> Result<(), CameraError> {
        let deadline_us = self.clock.now_us() + self.timeout.as_micros() as u64;
        loop {
            let now_us = self.clock.now_us();
            let left = Duration::from_micros(deadline_us.saturating_sub(now_us));
            let again_us = self.again_us;
            let young = |raw: &RawFrame| now_us.saturating_sub(raw.time_us) <= again_us;
            if let Err(why) = self.reader.take(left, young) {
                return Err(self.no_frame(why, self.timeout));
            }
            match self.decode(frame) {
                Ok(()) => return Ok(()),
                // The next one may be whole. It must not be asked for again.
                Err(error) if left.is_zero() => return Err(error),
                Err(_) => self.reader.front.sequence = 0,
            }
        }
    }

    fn freshness(&self) -> Freshness {
        self.reader.freshness()
    }
}

impl Drop for LiveCamera {
    fn drop(&mut self) {
        self.reader.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told when it happened.
            let _ = thread.join();
        }
    }
}
