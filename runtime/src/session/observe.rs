//! What the policy sees: frames with the joints at their time, in buffers that go to the worker and come back.

use super::worker::{Job, Snapshot};
use crate::arm::{ArmClient, JointValues};
use crate::camera::{CameraError, Frame};
use crate::rig::Rig;

/// Takes snapshots.
#[derive(Debug, Default)]
pub(super) struct Observer {
    /// Not handed over yet, oldest first.
    pending: Vec<Snapshot>,
    spare: Vec<Snapshot>,
    /// The last one that an inference was done with.
    last: Snapshot,
}

impl Observer {
    /// Throws away what was not handed over.
    pub(super) fn forget(&mut self) {
        self.spare.append(&mut self.pending);
    }

    /// Takes a snapshot: a frame of each camera where the policy `looks`, at most `timeout_us` old. The joints are those `measured`
    /// last.
    ///
    /// # Errors
    /// With the camera's place in the rig.
    pub(super) fn look(
        &mut self,
        rig: &mut Rig,
        looks: bool,
        timeout_us: u64,
        measured: &JointValues,
    ) -> Result<(), (usize, CameraError)> {
        let mut snapshot = self.spare.pop().unwrap_or_default();
        snapshot.measured = *measured;
        snapshot.time_us = rig.clock.now_us();
        let cameras = if looks { rig.cameras.len() } else { 0 };
        snapshot.frames.resize_with(cameras, Frame::default);
        let mut looked = Ok(());
        for (place, frame) in snapshot.frames.iter_mut().enumerate() {
            looked = capture(rig, place, frame, timeout_us).map_err(|error| (place, error));
            if looked.is_err() {
                break;
            }
        }
        if looked.is_ok() {
            self.pending.push(snapshot);
        } else {
            self.spare.push(snapshot);
        }
        looked
    }

    /// Gives the newest snapshot the joints at the time of its first frame.
    pub(super) fn place_in_time(&mut self, client: &ArmClient) {
        let Some(snapshot) = self.pending.last_mut() else {
            return;
        };
        if let Some(frame) = snapshot.frames.first() {
            snapshot.time_us = frame.time_us;
            if let Some(measured) = client.positions_at(frame.time_us) {
                snapshot.measured = measured;
            }
        }
    }

    /// The joints of the newest snapshot.
    pub(super) fn newest(&self) -> Option<JointValues> {
        self.pending.last().map(|snapshot| snapshot.measured)
    }

    /// Puts all snapshots into a job.
    pub(super) fn hand_over(&mut self, job: &mut Job) {
        job.seen.append(&mut self.pending);
    }

    /// Takes the buffers of a job that is done.
    pub(super) fn take_back(&mut self, job: &mut Job) {
        if let Some(newest) = job.seen.pop() {
            self.spare.push(std::mem::replace(&mut self.last, newest));
        }
        self.spare.append(&mut job.seen);
    }

    /// The joints that the policy was given last, and their time.
    pub(super) fn joints(&self) -> (&JointValues, u64) {
        (&self.last.measured, self.last.time_us)
    }

    /// The frames that the policy saw last.
    pub(super) fn frames(&self) -> &[Frame] {
        &self.last.frames
    }
}

/// Takes a frame that is at most `timeout_us` old.
fn capture(
    rig: &mut Rig,
    place: usize,
    frame: &mut Frame,
    timeout_us: u64,
) -> Result<(), CameraError> {
    let Some(camera) = rig.cameras.get_mut(place) else {
        return Ok(());
    };
    camera.camera.capture(frame)?;
    let age_us = rig.clock.now_us().saturating_sub(frame.time_us);
    if age_us > timeout_us {
        return Err(CameraError::Stale {
            camera: camera.name.to_string(),
            age_us,
            most_us: timeout_us,
        });
    }
    Ok(())
}
