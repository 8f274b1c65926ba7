//! Agreeing on format, size, rate and controls with a device. What it returns is checked: drivers change what they are asked for.

use std::io;
use std::path::{Path, PathBuf};

use nix::libc;
use v4l::v4l_sys as sys;
use wink_runtime::clock::MonotonicClock;

use super::capture::Capture;
use super::list::FormatInfo;
use super::name::usb_bus;
use super::raw::{CAPTURE, Call, Device, zeroed};
use super::stream::Stream;
use crate::bandwidth::Demand;
use crate::live::{LiveCamera, Started};
use crate::{CameraConfig, ColourEncoding, Holder, Layout, PixelFormat, SetupError, holders};

/// How far the rate may be from the one that was asked for: 29.97 is 30.
const RATE_TOLERANCE: f64 = 0.01;
/// Modes that an error lists.
const MOST_LISTED: usize = 12;

/// A device that has agreed to a format and does not stream yet.
#[derive(Debug)]
pub struct Negotiated {
    pub(super) device: Device,
    pub(super) layout: Layout,
    config: CameraConfig,
    path: PathBuf,
    fps: f64,
    pinned: Vec<(String, i64)>,
}

impl Negotiated {
    /// Opens the device, agrees on a format and sets the controls.
    ///
    /// # Errors
    /// When it is not there, is held by another program, offers nothing of this size and rate, or refuses a control.
    pub fn open(config: &CameraConfig, path: &Path) -> Result<Self, SetupError> {
        let at = At { config, path };
        let device = Device::open(path).map_err(|error| at.not_opened(&error))?;
        let captures = device
            .capture()
            .map_err(|error| at.failed("asking what it is", error))?;
        if captures.is_none() {
            return Err(
                at.open("is no camera that streams: another device has this name".to_owned())
            );
        }
        let formats = device
            .formats()
            .map_err(|error| at.failed("listing its formats", error))?;
        let (layout, fps) = at.agree(&device, &formats)?;
        let pinned =
            device
                .pin(&config.controls)
                .map_err(|(control, fault)| SetupError::Control {
                    camera: config.name.clone(),
                    control,
                    message: fault.to_string(),
                })?;
        Ok(Self {
            device,
            layout,
            config: config.clone(),
            path: path.to_owned(),
            fps,
            pinned,
        })
    }

    /// What it wants of its USB bus; `None` where it is on none.
    #[must_use]
    pub fn demand(&self) -> Option<Demand> {
        let node = std::fs::canonicalize(&self.path).ok()?;
        let bus = usb_bus(Path::new("/sys/class/video4linux"), &node)?;
        let Layout {
            format,
            width,
            height,
            ..
        } = self.layout;
        let name = &self.config.name;
        Some(Demand::new(name, format, (width, height), self.fps, bus))
    }

    /// Starts streaming.
    ///
    /// # Errors
    /// When the device has no buffers, or its bus no bandwidth left.
    pub(super) fn stream(self) -> Result<Stream, SetupError> {
        let Self {
            device,
            layout,
            config,
            path,
            ..
        } = self;
        let at = At {
            config: &config,
            path: &path,
        };
        Stream::start(device, layout).map_err(|(doing, error)| at.failed(doing, error))
    }

    /// Starts the thread that captures.
    ///
    /// # Errors
    /// When the driver refuses to stream, or a thread cannot be started.
    pub fn start(
        self,
        config: &CameraConfig,
        clock: &MonotonicClock,
    ) -> Result<LiveCamera, SetupError> {
        let started = Started {
            mode: self.layout,
            fps: self.fps,
            pinned: self.pinned.clone(),
            source: self.path.display().to_string(),
        };
        let path = self.path.clone();
        // After it was gone, the camera must come back with the same format.
        let again = CameraConfig {
            format: Some(self.layout.format),
            ..self.config.clone()
        };
        let stream = self.stream()?;
        let capture = Capture::new(again, path, clock.clone());
        LiveCamera::start(config, clock, started, move |writer| {
            capture.run(stream, writer);
        })
    }
}

/// A camera and its device, for messages.
struct At<'a> {
    config: &'a CameraConfig,
    path: &'a Path,
}

impl At<'_> {
    /// The first format that gives the size and rate.
    fn agree(&self, device: &Device, formats: &[FormatInfo]) -> Result<(Layout, f64), SetupError> {
        let CameraConfig {
            width, height, fps, ..
        } = *self.config;
        let tried: Vec<PixelFormat> = match self.config.format {
            Some(format) => vec![format],
            None => PixelFormat::PREFERRED.to_vec(),
        };
        for format in tried {
            let offered = formats.iter().any(|info| info.decoded() == Some(format));
            if !offered || !format.fits(width, height) {
                continue;
            }
            let layout = set_format(device, format, width, height);
            let Some(layout) = layout.map_err(|error| self.failed("setting its format", error))?
            else {
                continue;
            };
            let rate = set_rate(device, fps);
            let rate = rate.map_err(|error| self.failed("setting its rate", error))?;
            if (rate / f64::from(fps) - 1.0).abs() <= RATE_TOLERANCE {
                return Ok((layout, rate));
            }
        }
        let format = match self.config.format {
            Some(format) => format!("{format} "),
            None => String::new(),
        };
        Err(SetupError::NoFormat {
            camera: self.config.name.clone(),
            path: self.path.display().to_string(),
            wanted: format!("{format}{width} x {height} at {fps} frames a second"),
            offered: offered(formats),
        })
    }

    fn open(&self, message: String) -> SetupError {
        SetupError::Open {
            camera: self.config.name.clone(),
            path: self.path.display().to_string(),
            message,
        }
    }

    fn not_opened(&self, error: &io::Error) -> SetupError {
        let hint = match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
                "no such camera: is it plugged in? `wink cameras` lists those that are"
            }
            Some(libc::EACCES | libc::EPERM) => {
                "your user may not open it: `sudo usermod -aG video $USER`, then log in again"
            }
            Some(libc::EBUSY) => return self.busy(),
            _ => return self.open(error.to_string()),
        };
        self.open(hint.to_owned())
    }

    fn busy(&self) -> SetupError {
        let holder = holders(self.path).into_iter().next();
        SetupError::Busy {
            camera: self.config.name.clone(),
            path: self.path.display().to_string(),
            holder: holder.map_or_else(String::new, |Holder { pid, name }| {
                format!(" ({name}, process {pid})")
            }),
        }
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> SetupError {
        let hint = match source.raw_os_error() {
            Some(libc::EBUSY) => return self.busy(),
            Some(libc::ENOSPC) => {
                ": its USB bus has no bandwidth left: use mjpg, a smaller size or rate, or another USB controller"
            }
            Some(libc::ENODEV) => ": it was unplugged",
            _ => "",
        };
        SetupError::Device {
            camera: self.config.name.clone(),
            path: self.path.display().to_string(),
            doing,
            source,
            hint,
        }
    }
}

/// `None` where the driver sets something else.
fn set_format(
    device: &Device,
    format: PixelFormat,
    width: u32,
    height: u32,
) -> io::Result<Option<Layout>> {
    let mut wanted: sys::v4l2_format = zeroed();
    wanted.type_ = CAPTURE;
    let fourcc = u32::from_le_bytes(format.fourcc());
    wanted.fmt.pix.width = width;
    wanted.fmt.pix.height = height;
    wanted.fmt.pix.pixelformat = fourcc;
    wanted.fmt.pix.field = sys::v4l2_field_V4L2_FIELD_NONE;
    match device.call(Call::SetFormat, &mut wanted) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(None),
        Err(error) => return Err(error),
    }
    // SAFETY: of single-plane capture the kernel fills `pix`; any bits are valid.
    let pix = unsafe { wanted.fmt.pix };
    // SAFETY: both parts of the union are numbers.
    let encoding = unsafe { pix.__bindgen_anon_1.ycbcr_enc };
    let stride = match format.row_bytes(width) {
        None => 0,
        // 0 where the driver does not say: no padding.
        Some(row) if pix.bytesperline == 0 => row,
        Some(row) if pix.bytesperline as usize >= row => pix.bytesperline as usize,
        Some(_) => return Ok(None),
    };
    let colour = colour(format, pix.colorspace, encoding, pix.quantization);
    let progressive = [
        sys::v4l2_field_V4L2_FIELD_NONE,
        sys::v4l2_field_V4L2_FIELD_ANY,
    ];
    let same = pix.pixelformat == fourcc
        && (pix.width, pix.height) == (width, height)
        && progressive.contains(&pix.field);
    Ok(colour.filter(|_| same).map(|colour| Layout {
        format,
        width,
        height,
        stride,
        colour,
    }))
}

/// What the driver says of its colours; `None` of those that are not decoded. The defaults are V4L2's.
fn colour(
    format: PixelFormat,
    colorspace: u32,
    encoding: u32,
    quantization: u32,
) -> Option<ColourEncoding> {
    let full_by_default = colorspace == sys::v4l2_colorspace_V4L2_COLORSPACE_JPEG;
    let full = match quantization {
        sys::v4l2_quantization_V4L2_QUANTIZATION_FULL_RANGE => true,
        sys::v4l2_quantization_V4L2_QUANTIZATION_LIM_RANGE => false,
        _ => full_by_default || format == PixelFormat::Rgb,
    };
    match format {
        // JPEG is BT.601 with the full range, whatever the driver says.
        PixelFormat::Mjpg => return Some(ColourEncoding::Bt601Full),
        PixelFormat::Rgb => return full.then_some(ColourEncoding::Bt601Full),
        PixelFormat::Yuyv | PixelFormat::Nv12 => {}
    }
    let bt709 = match encoding {
        sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_DEFAULT => match colorspace {
            sys::v4l2_colorspace_V4L2_COLORSPACE_REC709
            | sys::v4l2_colorspace_V4L2_COLORSPACE_DCI_P3 => true,
            sys::v4l2_colorspace_V4L2_COLORSPACE_BT2020
            | sys::v4l2_colorspace_V4L2_COLORSPACE_SMPTE240M => return None,
            _ => false,
        },
        sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_601 => false,
        sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_709 => true,
        _ => return None,
    };
    Some(match (bt709, full) {
        (false, false) => ColourEncoding::Bt601Limited,
        (false, true) => ColourEncoding::Bt601Full,
        (true, false) => ColourEncoding::Bt709Limited,
        (true, true) => ColourEncoding::Bt709Full,
    })
}

/// Sets the rate and gives the one that the driver returns; the one that was asked for where the driver cannot set rates.
fn set_rate(device: &Device, fps: u32) -> io::Result<f64> {
    let mut wanted: sys::v4l2_streamparm = zeroed();
    wanted.type_ = CAPTURE;
    wanted.parm.capture.timeperframe.numerator = 1;
    wanted.parm.capture.timeperframe.denominator = fps;
    match device.call(Call::SetRate, &mut wanted) {
        Ok(()) => {}
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => {
            return Ok(fps.into());
        }
        Err(error) => return Err(error),
    }
    // SAFETY: of capture the kernel fills `capture`; any bits are valid.
    let interval = unsafe { wanted.parm.capture.timeperframe };
    if interval.numerator == 0 || interval.denominator == 0 {
        return Ok(fps.into());
    }
    Ok(f64::from(interval.denominator) / f64::from(interval.numerator))
}

/// Modes for people, in one line.
fn offered(formats: &[FormatInfo]) -> String {
    let mut modes = Vec::new();
    for info in formats {
        let Some(format) = info.decoded() else {
            continue;
        };
        for (width, height, rates) in &info.sizes {
            let fastest = rates.first().map(|rate| format!(" at up to {rate:.0}"));
            modes.push(format!(
                "{format} {width} x {height}{}",
                fastest.unwrap_or_default()
            ));
        }
    }
    if modes.is_empty() {
        let names: Vec<&str> = formats.iter().map(|info| &*info.fourcc).collect();
        return match names.as_slice() {
            [] => "no format at all".to_owned(),
            names => format!("only {}, which are not decoded", names.join(", ")),
        };
    }
    let more = modes.len().saturating_sub(MOST_LISTED);
    modes.truncate(MOST_LISTED);
    let rest = if more > 0 {
        format!(" and {more} more (`wink cameras`)")
    } else {
        String::new()
    };
    modes.join(", ") + &rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_what_the_driver_says_and_the_defaults_are_v4l2s() {
        let srgb = sys::v4l2_colorspace_V4L2_COLORSPACE_SRGB;
        let rec709 = sys::v4l2_colorspace_V4L2_COLORSPACE_REC709;
        let jpeg = sys::v4l2_colorspace_V4L2_COLORSPACE_JPEG;
        let bt2020 = sys::v4l2_colorspace_V4L2_COLORSPACE_BT2020;
        let yuyv = |space, encoding, range| colour(PixelFormat::Yuyv, space, encoding, range);
        assert_eq!(yuyv(srgb, 0, 0), Some(ColourEncoding::Bt601Limited));
        assert_eq!(yuyv(rec709, 0, 0), Some(ColourEncoding::Bt709Limited));
        assert_eq!(yuyv(rec709, 1, 1), Some(ColourEncoding::Bt601Full));
        assert_eq!(yuyv(jpeg, 0, 0), Some(ColourEncoding::Bt601Full));
        assert_eq!(yuyv(jpeg, 2, 2), Some(ColourEncoding::Bt709Limited));
        assert_eq!(yuyv(bt2020, 0, 0), None);
        let rgb = |range| colour(PixelFormat::Rgb, srgb, 0, range);
        assert_eq!(rgb(0), Some(ColourEncoding::Bt601Full));
        assert_eq!(rgb(2), None, "RGB of 16 to 235 is not decoded");
    }

    #[test]
    fn a_device_without_formats_is_told_as_such() {
        assert_eq!(offered(&[]), "no format at all");
        let h264 = FormatInfo {
            fourcc: "H264".to_owned(),
            sizes: vec![],
        };
        assert_eq!(offered(&[h264]), "only H264, which are not decoded");
        let mjpg = FormatInfo {
            fourcc: "MJPG".to_owned(),
            sizes: (1..=20).map(|n| (n * 16, n * 9, vec![30.0])).collect(),
        };
        let line = offered(&[mjpg]);
        assert!(line.starts_with("mjpg 16 x 9 at up to 30, "), "{line}");
        assert!(line.ends_with("and 8 more (`wink cameras`)"), "{line}");
    }
}
