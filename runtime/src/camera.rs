//! What every camera looks like to the control loop. No driver lives here.

/// Name of the one camera that the control loop captures.
pub const FRONT_CAMERA: &str = "observation.images.front";

/// One picture: 8-bit RGB, rows from the top, no padding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `height * width * 3` bytes, red, green, blue, row by row (HWC).
    pub rgb: Vec<u8>,
    /// When the light fell on the sensor, on the host's clock.
    pub time_us: u64,
    /// The JPEG file that the pixels were decoded from; empty where the camera delivers another format.
    pub jpeg: Vec<u8>,
}

impl Frame {
    /// Sets the size, keeping the buffer where it is large enough. What the pixels hold afterwards
    /// is unspecified.
    pub fn resize(&mut self, width: u32, height: u32) {
        self.width = width;
        self.height = height;
        self.jpeg.clear();
        self.rgb.resize(width as usize * height as usize * 3, 0);
    }

    /// Whether there is at least one pixel and the buffer holds exactly `width * height * 3` bytes.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let bytes = (self.width as usize)
            .checked_mul(self.height as usize)
            .and_then(|pixels| pixels.checked_mul(3));
        !self.rgb.is_empty() && bytes == Some(self.rgb.len())
    }
}

/// Why a camera gave no frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CameraError {
    /// No frame came in time.
    #[error(
        "the camera gave no frame within {waited_us} us: check its cable and whether another program holds it"
    )]
    TimedOut {
        /// How long was waited.
        waited_us: u64,
    },
    /// A frame came too late to act on.
    #[error(
        "the frame of {camera} is {age_us} us old, at most {most_us} us are acted on: is the camera or the computer too slow?"
    )]
    Stale {
        /// The camera's name.
        camera: String,
        /// From the frame's time until it was there.
        age_us: u64,
        /// The limit.
        most_us: u64,
    },
    /// The same picture came again and again.
    #[error(
        "{camera} gives the same picture since {time_us} us, {times} times: it is frozen; unplug it and plug it in again"
    )]
    Frozen {
        /// The camera's name.
        camera: String,
        /// How often.
        times: u64,
        /// For how long.
        time_us: u64,
    },
    /// The device or the renderer behind the camera failed.
    #[error("the camera failed: {message}")]
    Device {
        /// The driver's own words.
        message: String,
    },
}

/// What a camera tells of its newest frame without giving it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freshness {
    /// When it was taken, on the host's clock; `None` of a camera that takes a picture only when it is asked.
    pub newest_us: Option<u64>,
    /// How many pictures in a row, the newest among them, hold the same bytes as the one before.
    pub repeated: u64,
    /// From the first of these equal pictures to the newest.
    pub repeated_us: u64,
}

/// A source of frames.
pub trait Camera {
    /// Takes a picture into `frame`, which keeps its buffer from call to call.
    ///
    /// # Errors
    /// When the device fails or gives nothing in time; `frame` then holds nothing to rely on.
    fn capture(&mut self, frame: &mut Frame) -> Result<(), CameraError>;

    /// How fresh the newest frame is. Neither waits nor decodes.
    fn freshness(&self) -> Freshness {
        Freshness::default()
    }
}
