//! Several cameras at once.

use wink_runtime::clock::MonotonicClock;

#[cfg(feature = "camera")]
use crate::bandwidth::{self, Demand};
use crate::live::LiveCamera;
use crate::pipe::Pipe;
#[cfg(feature = "camera")]
use crate::v4l::Negotiated;
use crate::{CameraConfig, SetupError, Source};

/// Opens cameras, on the time of `clock`: agrees on a format with every device and sums the USB bandwidth before the first one
/// streams, then waits for a frame of each.
///
/// # Errors
/// When one of them cannot be opened as it should be, or gives no frame; none is left open.
pub fn open_all(
    configs: &[CameraConfig],
    clock: &MonotonicClock,
) -> Result<Vec<LiveCamera>, SetupError> {
    let ready = configs.iter().map(Ready::new);
    let ready = ready.collect::<Result<Vec<Ready>, SetupError>>()?;
    #[cfg(feature = "camera")]
    {
        let demands: Vec<Demand> = ready.iter().filter_map(Ready::demand).collect();
        bandwidth::check(&demands)?;
    }
    let mut cameras = Vec::with_capacity(configs.len());
    for (config, ready) in configs.iter().zip(ready) {
        cameras.push(ready.start(config, clock)?);
    }
    for camera in &mut cameras {
        camera.wait_for_first_frame()?;
    }
    Ok(cameras)
}

/// A camera that does not stream yet.
enum Ready {
    Pipe(Pipe),
    #[cfg(feature = "camera")]
    Device(Box<Negotiated>),
}

impl Ready {
    fn new(config: &CameraConfig) -> Result<Self, SetupError> {
        match &config.source {
            Source::Pipe(command) => Ok(Self::Pipe(Pipe::new(config, command)?)),
            #[cfg(feature = "camera")]
            Source::Device(path) => Ok(Self::Device(Box::new(Negotiated::open(config, path)?))),
            #[cfg(not(feature = "camera"))]
            Source::Device(_) => Err(SetupError::NoDevices {
                camera: config.name.clone(),
            }),
        }
    }

    #[cfg(feature = "camera")]
    fn demand(&self) -> Option<Demand> {
        match self {
            Self::Pipe(_) => None,
            Self::Device(device) => device.demand(),
        }
    }

    fn start(
        self,
        config: &CameraConfig,
        clock: &MonotonicClock,
    ) -> Result<LiveCamera, SetupError> {
        match self {
            Self::Pipe(pipe) => pipe.start(config, clock),
            #[cfg(feature = "camera")]
            Self::Device(device) => device.start(config, clock),
        }
    }
}
