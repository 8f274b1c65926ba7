//! The stale-frame guard: while a camera's frames are too old or repeat, the arm holds and the policy is not asked.

use super::tick::{Look, Sent, Thought};
use super::{RuntimeError, Session, StageTimes, TickReport};
use crate::arm::Target;
use crate::camera::CameraError;

/// Fewer equal pictures in a row than this are chance: some cameras repeat a picture where light is poor.
const FROZEN: u64 = 10;

/// What is known of the cameras' frames.
#[derive(Debug, Default)]
pub(super) struct FrameGuard {
    /// When frames began to be missing; `None` once a look at fresh ones has succeeded.
    since_us: Option<u64>,
    /// The camera that the arm holds for, by its place in the rig.
    waits_for: Option<usize>,
}

impl FrameGuard {
    /// Begins anew.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// Frames of all cameras were taken.
    pub(super) fn looked(&mut self) {
        self.begin();
    }
}

/// Why frames of a camera are not acted on.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Old { age_us: u64 },
    Frozen { times: u64, time_us: u64 },
}

impl Session {
    /// Whether the arm has to hold for frames at this tick. Where they are back, the policy begins anew with them: what it was
    /// thinking about is thrown away first.
    ///
    /// # Errors
    /// When they were missing for longer than the configuration allows.
    pub(super) fn waits_for_frames(&mut self) -> Result<bool, RuntimeError> {
        if !self.facts.looks {
            return Ok(false);
        }
        if let Some((camera, trouble)) = self.trouble() {
            self.hold_for(camera, |session| session.told(camera, trouble))?;
            return Ok(true);
        }
        if self.frames.waits_for.is_none() {
            return Ok(false);
        }
        // What the policy was told meanwhile comes first.
        if self.retell()? || !self.forget_chunk()? {
            return Ok(true);
        }
        self.frames.waits_for = None;
        self.begin_schedule();
        let at = self.sent.unwrap_or(*self.space.targets());
        self.pace.begin(&at);
        Ok(false)
    }

    /// Takes in that a look failed.
    ///
    /// # Errors
    /// With `error` where frames were missing for longer than the configuration allows.
    pub(super) fn look_failed(
        &mut self,
        camera: usize,
        error: CameraError,
    ) -> Result<(), RuntimeError> {
        self.hold_for(camera, |_| error)
    }

    fn hold_for(
        &mut self,
        camera: usize,
        error: impl FnOnce(&Self) -> CameraError,
    ) -> Result<(), RuntimeError> {
        let now_us = self.rig.clock.now_us();
        let since_us = *self.frames.since_us.get_or_insert(now_us);
        if now_us.saturating_sub(since_us) >= self.config.frame_patience_us {
            return Err(error(self).into());
        }
        self.frames.waits_for = Some(camera);
        self.late.camera += 1;
        Ok(())
    }

    /// The rest of a tick at which the arm holds for frames: where it was told to be last, it is told to be again.
    pub(super) fn hold_for_frames(
        &mut self,
        look: &Look,
        mut times: StageTimes,
    ) -> Result<TickReport, RuntimeError> {
        let sent = self.stay(&mut times)?;
        let report = self.report(look, sent, Thought::default(), times);
        Ok(TickReport {
            waits_for_camera: self.frames.waits_for,
            ..report
        })
    }

    /// Tells the arm to be where it was told to be last.
    pub(super) fn stay(&mut self, times: &mut StageTimes) -> Result<Sent, RuntimeError> {
        let joint_targets = self.sent.unwrap_or(*self.space.targets());
        self.transmit(&joint_targets, Target::Held, times)?;
        Ok(Sent {
            step: None,
            joint_targets,
        })
    }

    /// The first camera whose frames are not acted on.
    fn trouble(&self) -> Option<(usize, Trouble)> {
        let now_us = self.rig.clock.now_us();
        let cameras = self.rig.cameras.iter().enumerate();
        cameras
            .filter_map(|(place, camera)| {
                let fresh = camera.camera.freshness();
                let age_us = fresh.newest_us.map(|us| now_us.saturating_sub(us));
                let old = age_us.filter(|age_us| *age_us > self.config.frame_timeout_us);
                let frozen = self.config.frozen_after_us.is_some_and(|after_us| {
                    fresh.repeated >= FROZEN && fresh.repeated_us >= after_us
                });
                let trouble = match old {
                    Some(age_us) => Trouble::Old { age_us },
                    None if frozen => Trouble::Frozen {
                        times: fresh.repeated,
                        time_us: fresh.repeated_us,
                    },
                    None => return None,
                };
                Some((place, trouble))
            })
            .next()
    }

    fn told(&self, camera: usize, trouble: Trouble) -> CameraError {
        let named = self.rig.cameras.get(camera);
        let camera = named.map_or_else(String::new, |named| named.name.to_string());
        match trouble {
            Trouble::Old { age_us } => CameraError::Stale {
                camera,
                age_us,
                most_us: self.config.frame_timeout_us,
            },
            Trouble::Frozen { times, time_us } => CameraError::Frozen {
                camera,
                times,
                time_us,
            },
        }
    }
}
