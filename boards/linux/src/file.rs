//! A board's file: which devices its servos and cameras are.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use wink_camera::{CameraConfig, CameraTable};
use wink_runtime::toml_file::{complaint, line_of};

use crate::BoardError;

/// The format number that this version reads.
const FORMAT: u32 = 1;

/// What a file under `boards/linux` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardFile {
    /// The board's name.
    pub name: String,
    /// Control steps a second. A serial bus of seven servos at 1 Mbaud takes about 3 ms a step, a USB adapter some more.
    pub rate_hz: u32,
    /// For arms of bus servos.
    pub serial: Option<SerialBus>,
    /// For arms of PWM servos.
    pub i2c: Option<I2cBus>,
    /// For a microcontroller that was flashed for the arm.
    pub wire: Option<Wire>,
    /// Its cameras, in the order of their names.
    pub cameras: Vec<CameraConfig>,
}

/// A serial adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialBus {
    /// Its device.
    pub port: String,
    /// Bits a second.
    pub baud: u32,
    /// Whether it hears what it sends.
    pub echo: bool,
    /// Longest wait for the start of an answer, microseconds.
    pub answer_timeout_us: u32,
}

/// The serial port of a flashed board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// Its device.
    pub port: String,
    /// Bits a second.
    pub baud: u32,
}

/// An I2C bus with a PCA9685.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct I2cBus {
    /// Its device.
    pub bus: String,
    /// The chip's address, 7 bits.
    pub address: u8,
    /// The chip's oscillator, Hz.
    pub oscillator_hz: u32,
}

impl BoardFile {
    /// Reads and checks a board's file.
    ///
    /// # Errors
    /// With the line: syntax, missing or unknown fields, values that make no sense.
    pub fn from_toml(text: &str) -> Result<Self, BoardError> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let (line, message) = complaint(text, &error);
            BoardError::Syntax { line, message }
        })?;
        let within = |field, value: &Spanned<u32>, min, max| {
            let found = *value.get_ref();
            if (min..=max).contains(&found) {
                return Ok(found);
            }
            Err(BoardError::OutOfRange {
                line: line_of(text, value.span().start),
                field,
                value: found,
                min,
                max,
            })
        };
        within("format", &raw.format, FORMAT, FORMAT)?;
        let serial = raw
            .serial
            .map(|raw| {
                Ok(SerialBus {
                    baud: within("baud", &raw.baud, 9_600, 4_500_000)?,
                    answer_timeout_us: within(
                        "answer_timeout_us",
                        &raw.answer_timeout_us,
                        500,
                        1_000_000,
                    )?,
                    port: raw.port,
                    echo: raw.echo,
                })
            })
            .transpose()?;
        let i2c = raw
            .i2c
            .map(|raw| {
                Ok(I2cBus {
                    address: within("address", &raw.address, 0x08, 0x77)? as u8,
                    oscillator_hz: within(
                        "oscillator_hz",
                        &raw.oscillator_hz,
                        20_000_000,
                        30_000_000,
                    )?,
                    bus: raw.bus,
                })
            })
            .transpose()?;
        let wire = raw
            .wire
            .map(|raw| {
                Ok(Wire {
                    baud: within("baud", &raw.baud, 9_600, 4_500_000)?,
                    port: raw.port,
                })
            })
            .transpose()?;
        let cameras = raw.cameras.iter().map(|(name, table)| {
            table.check(name).map_err(|fault| BoardError::Camera {
                line: line_of(text, fault.offset.unwrap_or(0)),
                message: fault.message,
            })
        });
        let cameras = cameras.collect::<Result<_, BoardError>>()?;
        Ok(Self {
            cameras,
            rate_hz: within("rate_hz", &raw.rate_hz, 50, 2_000)?,
            name: raw.name,
            serial,
            i2c,
            wire,
        })
    }
}

impl BoardFile {
    /// Puts another device in the place of the one that the file names, for the bus that the arm uses.
    pub fn use_device(&mut self, device: &str) {
        if let Some(serial) = &mut self.serial {
            device.clone_into(&mut serial.port);
        }
        if let Some(i2c) = &mut self.i2c {
            device.clone_into(&mut i2c.bus);
        }
        if let Some(wire) = &mut self.wire {
            device.clone_into(&mut wire.port);
        }
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: Spanned<u32>,
    name: String,
    rate_hz: Spanned<u32>,
    serial: Option<RawSerial>,
    i2c: Option<RawI2c>,
    wire: Option<RawWire>,
    #[serde(default)]
    cameras: BTreeMap<String, CameraTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSerial {
    port: String,
    baud: Spanned<u32>,
    #[serde(default)]
    echo: bool,
    answer_timeout_us: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWire {
    port: String,
    baud: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawI2c {
    bus: String,
    address: Spanned<u32>,
    oscillator_hz: Spanned<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(&str, &str); 3] = [
        ("raspberry-pi-5", include_str!("../raspberry-pi-5.toml")),
        ("jetson-orin-nano", include_str!("../jetson-orin-nano.toml")),
        ("x86", include_str!("../x86.toml")),
    ];

    #[test]
    fn the_boards_in_this_folder_are_valid() {
        for (name, text) in FILES {
            let board = BoardFile::from_toml(text).unwrap();
            assert_eq!(board.name, name);
            assert!(board.serial.is_some());
            assert_eq!(board.cameras.len(), 2, "a front and a wrist camera");
        }
    }

    #[test]
    fn bad_files_are_refused_with_the_line() {
        let good = "format = 1\nname = \"x\"\nrate_hz = 200\n[serial]\nport = \"/dev/a\"\nbaud = 1000000\nanswer_timeout_us = 4000\n[cameras.front]\ndevice = \"/dev/v4l/by-id/usb-x\"\nwidth = 640\nheight = 480\nfps = 30\n";
        assert!(BoardFile::from_toml(good).is_ok());
        for (from, to, expected) in [
            ("format = 1", "format = 2", "line 1: format is 2"),
            ("200", "0", "line 3: rate_hz is 0, outside of 50 .. 2000"),
            ("1000000", "300", "line 6: baud is 300"),
            ("4000", "2", "line 7: answer_timeout_us is 2"),
            ("4000", "\"2\"", "line 7: invalid type"),
            ("port", "prot", "line 5: unknown field `prot`"),
            ("port", "prot", "did you mean `port`?"),
            ("[serial]", "[serail]", "did you mean `serial`?"),
            ("width", "widht", "line 10: unknown field `widht`"),
            ("width", "widht", "did you mean `width`?"),
            ("640", "9640", "line 10: [cameras.front] width is 9640"),
            (
                "/dev/v4l/by-id/usb-x",
                "/dev/video0",
                "line 9: [cameras.front] device is /dev/video0",
            ),
            (
                "device = \"/dev/v4l/by-id/usb-x\"\n",
                "",
                "[cameras.front] has neither device nor pipe",
            ),
            ("baud = 1000000\n", "", "missing field `baud`"),
            ("name = \"x\"", "name = ", "line 2: "),
        ] {
            let text = good.replacen(from, to, 1);
            let message = BoardFile::from_toml(&text).expect_err(expected).to_string();
            assert!(
                message.contains(expected),
                "\"{message}\" does not say \"{expected}\""
            );
        }
    }
}
