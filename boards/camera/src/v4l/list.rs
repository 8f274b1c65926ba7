//! Which cameras there are, and what they offer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use v4l::v4l_sys as sys;

use super::name::lasting_name;
use super::raw::{CAPTURE, Call, Device, text, zeroed};
use crate::PixelFormat;

/// Entries of one list that are read: a driver that never ends must not hold us.
const MOST_ENTRIES: u32 = 256;

/// A camera that is connected.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceInfo {
    /// Its file: `/dev/video0`.
    pub node: PathBuf,
    /// A name that a restart does not change; `None` where udev has made none.
    pub name: Option<PathBuf>,
    /// What it calls itself.
    pub card: String,
    /// The kernel's driver.
    pub driver: String,
    /// What it offers.
    pub formats: Vec<FormatInfo>,
}

/// A format of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatInfo {
    /// V4L2's four characters.
    pub fourcc: String,
    /// Sizes with their rates, frames a second, the fastest first.
    pub sizes: Vec<(u32, u32, Vec<f64>)>,
}

impl FormatInfo {
    /// Whether it is one that is decoded.
    #[must_use]
    pub fn decoded(&self) -> Option<PixelFormat> {
        PixelFormat::PREFERRED
            .into_iter()
            .find(|format| self.fourcc.as_bytes() == format.fourcc())
    }
}

/// All cameras of this machine, in the order of their numbers; those that cannot be opened come with the reason.
///
/// # Errors
/// When `/dev` cannot be read.
pub fn devices() -> io::Result<Vec<(PathBuf, io::Result<DeviceInfo>)>> {
    let mut nodes: Vec<(u32, PathBuf)> = fs::read_dir("/dev")?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    nodes.sort();
    let mut found = Vec::new();
    for (_, node) in nodes {
        match info(&node) {
            Ok(None) => {}
            Ok(Some(info)) => found.push((node, Ok(info))),
            Err(error) => found.push((node, Err(error))),
        }
    }
    Ok(found)
}

/// `None` where the file is no camera: it shows video, or holds a camera's metadata.
fn info(node: &Path) -> io::Result<Option<DeviceInfo>> {
    let device = Device::open(node)?;
    let Some((driver, card)) = device.capture()? else {
        return Ok(None);
    };
    Ok(Some(DeviceInfo {
        node: node.to_owned(),
        name: lasting_name(Path::new("/dev/v4l"), node),
        card,
        driver,
        formats: device.formats()?,
    }))
}

/// The four characters of a format; the highest bit says that its words are big-endian.
fn fourcc(format: u32) -> String {
    const BIG_ENDIAN: u32 = 1 << 31;
    let letters = (format & !BIG_ENDIAN).to_le_bytes();
    let end = if format & BIG_ENDIAN == 0 { "" } else { "-BE" };
    format!("{}{end}", String::from_utf8_lossy(&letters).trim_end())
}

impl Device {
    /// Driver and card, where the device streams video to programs.
    pub(super) fn capture(&self) -> io::Result<Option<(String, String)>> {
        let mut caps: sys::v4l2_capability = zeroed();
        self.call(Call::Capabilities, &mut caps)?;
        let all = if caps.capabilities & sys::V4L2_CAP_DEVICE_CAPS != 0 {
            caps.device_caps
        } else {
            caps.capabilities
        };
        let needed = sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_STREAMING;
        let captures = all & needed == needed;
        Ok(captures.then(|| (text(&caps.driver), text(&caps.card))))
    }

    /// What it offers; nothing where it is a device without formats.
    pub(super) fn formats(&self) -> io::Result<Vec<FormatInfo>> {
        let mut formats = Vec::new();
        for index in 0..MOST_ENTRIES {
            let mut entry: sys::v4l2_fmtdesc = zeroed();
            entry.index = index;
            entry.type_ = CAPTURE;
            if !self.entry(Call::EnumerateFormats, &mut entry)? {
                break;
            }
            formats.push(FormatInfo {
                fourcc: fourcc(entry.pixelformat),
                sizes: self.sizes(entry.pixelformat)?,
            });
        }
        Ok(formats)
    }

    fn sizes(&self, format: u32) -> io::Result<Vec<(u32, u32, Vec<f64>)>> {
        let mut sizes = Vec::new();
        for index in 0..MOST_ENTRIES {
            let mut entry: sys::v4l2_frmsizeenum = zeroed();
            entry.index = index;
            entry.pixel_format = format;
            if !self.entry(Call::EnumerateSizes, &mut entry)? {
                break;
            }
            if entry.type_ != sys::v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE {
                // A range: the least and the largest size stand for it.
                // SAFETY: the kernel fills `stepwise` where the type is not discrete; any bits are valid.
                let range = unsafe { entry.__bindgen_anon_1.stepwise };
                for (width, height) in [
                    (range.min_width, range.min_height),
                    (range.max_width, range.max_height),
                ] {
                    sizes.push((width, height, self.rates(format, width, height)?));
                }
                break;
            }
            // SAFETY: the kernel fills `discrete` where the type says so; any bits are valid.
            let size = unsafe { entry.__bindgen_anon_1.discrete };
            let rates = self.rates(format, size.width, size.height)?;
            sizes.push((size.width, size.height, rates));
        }
        Ok(sizes)
    }

    fn rates(&self, format: u32, width: u32, height: u32) -> io::Result<Vec<f64>> {
        let mut rates = Vec::new();
        for index in 0..MOST_ENTRIES {
            let mut entry: sys::v4l2_frmivalenum = zeroed();
            entry.index = index;
            entry.pixel_format = format;
            entry.width = width;
            entry.height = height;
            if !self.entry(Call::EnumerateIntervals, &mut entry)? {
                break;
            }
            let discrete = entry.type_ == sys::v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE;
            // SAFETY: the kernel fills the part that the type names; any bits are valid.
            let intervals = unsafe {
                if discrete {
                    vec![entry.__bindgen_anon_1.discrete]
                } else {
                    let range = entry.__bindgen_anon_1.stepwise;
                    vec![range.min, range.max]
                }
            };
            let intervals = intervals.iter().filter(|interval| interval.numerator > 0);
            rates.extend(intervals.map(|i| f64::from(i.denominator) / f64::from(i.numerator)));
            if !discrete {
                break;
            }
        }
        rates.sort_by(|a, b| b.total_cmp(a));
        Ok(rates)
    }

    /// Whether there is such an entry of a list.
    fn entry<T: super::raw::Argument>(&self, call: Call, entry: &mut T) -> io::Result<bool> {
        match self.call(call, entry) {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(nix::libc::EINVAL | nix::libc::ENOTTY)
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_printable_names() {
        assert_eq!(fourcc(u32::from_le_bytes(*b"YUYV")), "YUYV");
        assert_eq!(fourcc(u32::from_le_bytes(*b"Y16 ")), "Y16");
        assert_eq!(fourcc(u32::from_le_bytes(*b"Y16 ") | 1 << 31), "Y16-BE");
    }
}
