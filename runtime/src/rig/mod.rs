//! What a policy drives an arm with: cameras, the link to the firmware and a clock, as separate things on one monotonic time.

mod shared;

use std::fmt;

pub use shared::Shared;

use crate::arm::{Link, LinkError};
use crate::camera::Camera;
use crate::clock::Clock;
use crate::policy::Name;

/// A camera, a link and a clock that are one thing, as a simulated world is.
pub trait Board: Camera + Link + Clock {}

impl<B: Camera + Link + Clock + ?Sized> Board for B {}

/// Cameras, link and clock. Frames carry times of this clock.
pub struct Rig {
    /// In the order in which a policy is given them.
    pub cameras: Vec<NamedCamera>,
    /// To the firmware.
    pub link: Box<dyn Link>,
    /// Of everything.
    pub clock: Box<dyn Clock>,
}

/// A camera and its name in `policy.json`.
pub struct NamedCamera {
    /// The name.
    pub name: Name,
    /// The source of frames.
    pub camera: Box<dyn Camera>,
}

impl fmt::Debug for Rig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.cameras.iter().map(|camera| &camera.name);
        f.debug_list().entries(names).finish()
    }
}

impl Rig {
    /// Link and clock, for what waits for answers.
    pub(crate) fn wire(&mut self) -> Wire<'_> {
        Wire {
            link: &mut *self.link,
            clock: &mut *self.clock,
        }
    }
}

/// A link and a clock.
pub(crate) struct Wire<'a> {
    link: &'a mut dyn Link,
    clock: &'a mut dyn Clock,
}

impl Link for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.link.write(bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        self.link.read(buffer)
    }
}

impl Clock for Wire<'_> {
    fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.clock.sleep_until(time_us);
    }

    fn step_us(&self) -> u64 {
        self.clock.step_us()
    }
}
