//! V4L2 devices. Only the raw calls and types of crate `v4l` are used: its own streams and controls panic on what real devices do
//! (unknown control types, errors on closing, a device without formats) and do not see unplugging or damaged frames.

mod capture;
mod controls;
mod list;
mod name;
mod negotiate;
mod raw;
mod stream;

pub use controls::{Control, ControlFault};
pub use list::{DeviceInfo, FormatInfo, devices};
pub use negotiate::Negotiated;
pub use raw::Device;
