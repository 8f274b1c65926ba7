//! The thread that captures from a device, and gets it back when it is gone.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use wink_runtime::clock::{Clock, MonotonicClock};

use super::negotiate::Negotiated;
use super::raw::monotonic_us;
use super::stream::{Next, Stream};
use crate::newest::{State, Writer};
use crate::{CameraConfig, SetupError};

/// Between two looks at whether the camera is still wanted, ms.
const LOOK_MS: u16 = 100;
/// Without a frame for so long, the stream is started anew.
const QUIET: Duration = Duration::from_secs(1);
/// Between two attempts to find a camera that is gone.
const RETRY: Duration = Duration::from_millis(200);

/// What the thread knows.
pub(super) struct Capture {
    config: CameraConfig,
    path: PathBuf,
    /// CLOCK_MONOTONIC minus the loop's clock; both tick alike.
    offset_us: u64,
}

impl Capture {
    pub(super) fn new(config: CameraConfig, path: PathBuf, clock: MonotonicClock) -> Self {
        let now_us = clock.now_us();
        let offset_us = monotonic_us().saturating_sub(now_us);
        Self {
            config,
            path,
            offset_us,
        }
    }

    /// Until the camera is no longer wanted.
    pub(super) fn run(self, stream: Stream, mut writer: Writer) {
        let mut stream = stream;
        loop {
            let why = self.capture(&mut stream, &mut writer);
            // Closed before it is looked for: a device that is held cannot come back.
            drop(stream);
            let Some(why) = why else {
                return;
            };
            writer.set_state(State::Lost(why));
            let Some(again) = self.find(&writer) else {
                return;
            };
            stream = again;
            writer.count(|counts| counts.replugs += 1);
        }
    }

    /// Captures until the device is gone, and says so; `None` where the camera is no longer wanted.
    fn capture(&self, stream: &mut Stream, writer: &mut Writer) -> Option<String> {
        let mut heard = Instant::now();
        while !writer.is_stopped() {
            let broken = match stream.next(LOOK_MS, &mut writer.back) {
                Next::Frame {
                    time_us,
                    passed_over,
                    damaged,
                } => {
                    heard = Instant::now();
                    writer.back.time_us = time_us.saturating_sub(self.offset_us);
                    if passed_over + damaged > 0 {
                        writer.count(|counts| {
                            counts.frames += passed_over;
                            counts.passed_over += passed_over;
                            counts.damaged += damaged;
                        });
                    }
                    writer.publish();
                    continue;
                }
                Next::Damaged(frames) => {
                    heard = Instant::now();
                    writer.count(|counts| counts.damaged += frames);
                    continue;
                }
                Next::Nothing if heard.elapsed() < QUIET => continue,
                Next::Nothing => format!("no frame came for {} ms", QUIET.as_millis()),
                Next::Broken(error) => error.to_string(),
                Next::Gone => return Some("it was unplugged".to_owned()),
            };
            writer.set_state(State::Lost(format!("{broken}; it is started anew")));
            writer.count(|counts| counts.restarts += 1);
            if stream.restart().is_err() {
                return Some(format!("{broken}, and it does not start anew"));
            }
            heard = Instant::now();
        }
        None
    }

    /// Looks for the device until it is there; `None` where the camera is no longer wanted.
    fn find(&self, writer: &Writer) -> Option<Stream> {
        while !writer.is_stopped() {
            match Negotiated::open(&self.config, &self.path).and_then(Negotiated::stream) {
                Ok(stream) => return Some(stream),
                // The camera and its device are named by who tells this.
                Err(SetupError::Open { message, .. }) => writer.set_state(State::Lost(message)),
                Err(why) => writer.set_state(State::Lost(why.to_string())),
            }
            writer.pause(RETRY);
        }
        None
    }
}
