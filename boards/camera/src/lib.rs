#![doc = include_str!("../README.md")]

mod bandwidth;
mod camera_set;
mod config;
mod decode;
mod error;
mod format;
mod holders;
mod live;
mod mjpeg;
mod newest;
mod pipe;
#[cfg(feature = "camera")]
pub mod v4l;

pub use bandwidth::{Demand, UsbBus, check as check_bandwidth};
pub use camera_set::open_all;
pub use config::{CameraConfig, CameraTable, ConfigFault, Source};
pub use decode::{DecodeError, Decoder};
pub use error::SetupError;
pub use format::{ColourEncoding, Layout, PixelFormat};
pub use holders::{Holder, holders};
pub use live::LiveCamera;
pub use newest::{Counts, RawFrame};

/// Whether V4L2 devices can be opened: the feature `camera`.
pub const HAS_DEVICES: bool = cfg!(feature = "camera");

/// How a build gets V4L2 devices.
pub const HOW_TO_GET_DEVICES: &str = "this build has no V4L2 cameras: install libclang (Debian: apt-get install libclang-dev) and build with `cargo install --path tools --features camera`, or give a command with `pipe`";
