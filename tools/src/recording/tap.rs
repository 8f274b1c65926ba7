//! A camera whose frames are recorded as they are captured.

use std::sync::Arc;

use wink_runtime::camera::{Camera, CameraError, Frame, Freshness};

use super::queue::Queue;

/// Hands every frame that it captures to the recorder as well.
pub struct Tap {
    camera: Box<dyn Camera>,
    place: usize,
    queue: Arc<Queue>,
    /// Of the frame before: a camera may return a young frame twice.
    time_us: Option<u64>,
}

impl Tap {
    pub(super) fn new(camera: Box<dyn Camera>, place: usize, queue: Arc<Queue>) -> Self {
        Self {
            camera,
            place,
            queue,
            time_us: None,
        }
    }
}

impl Camera for Tap {
    fn capture(&mut self, frame: &mut Frame) -> Result<(), CameraError> {
        self.camera.capture(frame)?;
        if self.time_us.replace(frame.time_us) != Some(frame.time_us) {
            self.queue.frame(self.place, frame);
        }
        Ok(())
    }

    fn freshness(&self) -> Freshness {
        self.camera.freshness()
    }
}
