//! What a board's file says of its cameras: the tables `[cameras.NAME]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::PixelFormat;

/// Longest side of a frame, pixels.
const MOST_SIDE: u32 = 4096;
/// Highest rate, frames a second.
const MOST_FPS: u32 = 240;
/// How long a capture waits for a frame unless the file says otherwise.
const TIMEOUT_MS: u32 = 1_000;

/// A camera, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraConfig {
    /// Its name.
    pub name: String,
    /// Where frames come from.
    pub source: Source,
    /// Width of a frame, pixels.
    pub width: u32,
    /// Height of a frame, pixels.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
    /// The format; `None` where the first that the device offers will do.
    pub format: Option<PixelFormat>,
    /// Controls by name, and their values.
    pub controls: Vec<(String, i64)>,
    /// How long a capture waits for a frame.
    pub timeout: Duration,
}

/// Where frames come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A V4L2 device.
    Device(PathBuf),
    /// A command of the shell that writes frames to its standard output.
    Pipe(String),
}

impl CameraConfig {
    /// A camera with nothing but the necessary.
    #[must_use]
    pub fn new(name: &str, source: Source, width: u32, height: u32, fps: u32) -> Self {
        Self {
            name: name.to_owned(),
            source,
            width,
            height,
            fps,
            format: None,
            controls: Vec::new(),
            timeout: Duration::from_millis(TIMEOUT_MS.into()),
        }
    }

    /// Time from frame to frame.
    #[must_use]
    pub fn period(&self) -> Duration {
        Duration::from_secs(1) / self.fps.max(1)
    }
}

/// A table `[cameras.NAME]` as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraTable {
    device: Option<Spanned<String>>,
    pipe: Option<Spanned<String>>,
    width: Spanned<u32>,
    height: Spanned<u32>,
    fps: Spanned<u32>,
    format: Option<Spanned<String>>,
    timeout_ms: Option<Spanned<u32>>,
    #[serde(default)]
    controls: BTreeMap<String, ControlValue>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum ControlValue {
    Switch(bool),
    Number(i64),
}

/// What is wrong in a table, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// Byte offset in the file; `None` where something is missing.
    pub offset: Option<usize>,
    /// The table and the field, and what to do.
    pub message: String,
}

impl CameraTable {
    /// Checks the table of the camera `name`.
    ///
    /// # Errors
    /// With the field: values out of range, a device that is named by its index, or neither a device nor a command.
    pub fn check(&self, name: &str) -> Result<CameraConfig, ConfigFault> {
        let fault = |offset: Option<usize>, message: String| ConfigFault {
            offset,
            message: format!("[cameras.{name}] {message}"),
        };
        let within = |field: &str, value: &Spanned<u32>, most: u32| {
            let found = *value.get_ref();
            if (1..=most).contains(&found) {
                return Ok(found);
            }
            let message = format!("{field} is {found}, outside of 1 .. {most}");
            Err(fault(Some(value.span().start), message))
        };
        let (width, height) = (
            within("width", &self.width, MOST_SIDE)?,
            within("height", &self.height, MOST_SIDE)?,
        );
        let fps = within("fps", &self.fps, MOST_FPS)?;
        let timeout_ms = match &self.timeout_ms {
            Some(value) => within("timeout_ms", value, 60_000)?,
            None => TIMEOUT_MS,
        };
        let format = match &self.format {
            Some(name) => {
                let parsed: Result<PixelFormat, String> = name.get_ref().parse();
                let at = Some(name.span().start);
                let format = parsed.map_err(|what| fault(at, format!("format: {what}")))?;
                if !format.fits(width, height) {
                    let message = format!("format {format} has no frames of {width} x {height}");
                    return Err(fault(at, message));
                }
                Some(format)
            }
            None => None,
        };
        let source = match (&self.device, &self.pipe) {
            (Some(device), None) => {
                let at = Some(device.span().start);
                let path = device_path(device.get_ref()).map_err(|what| fault(at, what))?;
                Source::Device(path)
            }
            (None, Some(command)) => {
                let at = Some(command.span().start);
                if command.get_ref().trim().is_empty() {
                    return Err(fault(at, "pipe is empty: give a command".to_owned()));
                }
                if format.is_none() {
                    let message =
                        "has no format: say what the command writes: mjpg, yuyv, nv12 or rgb";
                    return Err(fault(at, message.to_owned()));
                }
                if !self.controls.is_empty() {
                    let message = "controls are those of a device: give them to the command";
                    return Err(fault(at, message.to_owned()));
                }
                Source::Pipe(command.get_ref().clone())
            }
            (Some(device), Some(_)) => {
                let at = Some(device.span().start);
                return Err(fault(at, "has a device and a pipe: give one".to_owned()));
            }
            (None, None) => {
                let message = "has neither device nor pipe: give one";
                return Err(fault(Some(self.width.span().start), message.to_owned()));
            }
        };
        let controls = self.controls.iter().map(|(name, value)| {
            let value = match *value {
                ControlValue::Switch(on) => i64::from(on),
                ControlValue::Number(value) => value,
            };
            (name.clone(), value)
        });
        Ok(CameraConfig {
            name: name.to_owned(),
            source,
            width,
            height,
            fps,
            format,
            controls: controls.collect(),
            timeout: Duration::from_millis(timeout_ms.into()),
        })
    }
}

/// A device's path, unless it is a name that another camera can have after the next start.
fn device_path(device: &str) -> Result<PathBuf, String> {
    let path = Path::new(device);
    if !path.is_absolute() || device.contains('\0') {
        return Err(format!("device is \"{device}\", not the path of a device"));
    }
    let index = device.strip_prefix("/dev/video");
    if index.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())) {
        return Err(format!(
            "device is {device}, which can be another camera after a restart: give its name under /dev/v4l/by-id or /dev/v4l/by-path (`wink cameras` lists them)"
        ));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "device = \"/dev/v4l/by-id/usb-x\"\nwidth = 640\nheight = 480\nfps = 30\n";
    const PIPE: &str =
        "pipe = \"rpicam-vid\"\nformat = \"mjpg\"\nwidth = 640\nheight = 480\nfps = 30\n";

    fn check(text: &str) -> Result<CameraConfig, ConfigFault> {
        let table: CameraTable = toml::from_str(text).unwrap();
        table.check("front")
    }

    #[test]
    fn tables_of_devices_and_commands_are_read() {
        let camera = check(&format!(
            "{DEVICE}timeout_ms = 300\n[controls]\nauto_exposure = 1\nexposure_dynamic_framerate = false\ngain = -3\n"
        ))
        .unwrap();
        assert_eq!(camera.source, Source::Device("/dev/v4l/by-id/usb-x".into()));
        assert_eq!((camera.width, camera.height, camera.fps), (640, 480, 30));
        assert_eq!(camera.format, None);
        assert_eq!(camera.timeout, Duration::from_millis(300));
        let controls = [
            ("auto_exposure", 1),
            ("exposure_dynamic_framerate", 0),
            ("gain", -3),
        ];
        let found: Vec<(&str, i64)> = camera.controls.iter().map(|(n, v)| (&**n, *v)).collect();
        assert_eq!(found, controls);
        let camera = check(PIPE).unwrap();
        assert_eq!(camera.source, Source::Pipe("rpicam-vid".to_owned()));
        assert_eq!(camera.format, Some(PixelFormat::Mjpg));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (text, from, to, expected) in [
            (DEVICE, "640", "0", "width is 0, outside of 1 .. 4096"),
            (DEVICE, "480", "5000", "height is 5000"),
            (DEVICE, "30", "241", "fps is 241"),
            (DEVICE, "v4l/by-id/usb-x", "video0", "wink cameras"),
            (DEVICE, "v4l/by-id/usb-x", "video12", "after a restart"),
            (DEVICE, "/dev/v4l/by-id/usb-x", "0", "not the path"),
            (DEVICE, "fps", "pipe = \"a\"\nfps", "a device and a pipe"),
            (DEVICE, "fps", "timeout_ms = 0\nfps", "timeout_ms is 0"),
            (
                DEVICE,
                "fps",
                "format = \"h264\"\nfps",
                "mjpg, yuyv, nv12, rgb",
            ),
            (
                PIPE,
                "pipe = \"rpicam-vid\"\n",
                "",
                "neither device nor pipe",
            ),
            (PIPE, "format = \"mjpg\"\n", "", "no format"),
            (PIPE, "rpicam-vid", " ", "pipe is empty"),
            (
                PIPE,
                "fps = 30",
                "fps = 30\ncontrols.gain = 1",
                "controls are those",
            ),
            (
                &PIPE.replace("mjpg", "nv12"),
                "480",
                "481",
                "nv12 has no frames",
            ),
        ] {
            let fault = check(&text.replacen(from, to, 1)).expect_err(expected);
            assert!(fault.message.contains(expected), "{}", fault.message);
            assert!(fault.message.starts_with("[cameras.front] "));
            assert!(fault.offset.is_some());
        }
        assert!(check(&DEVICE.replace("v4l/by-id/usb-x", "video-front")).is_ok());
    }
}
