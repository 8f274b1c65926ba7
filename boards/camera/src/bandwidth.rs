//! USB bandwidth: what the cameras of one bus want, before any of them streams.

use std::collections::BTreeMap;

use crate::{PixelFormat, SetupError};

/// The share of a bus that periodic transfers may take (USB 2.0, section 5.6.4).
const PERIODIC_SHARE: f64 = 0.8;

/// The bus behind one root of a USB controller.
#[derive(Debug, Clone, PartialEq)]
pub struct UsbBus {
    /// Its number.
    pub number: String,
    /// Speed of the camera's link, Mbit/s: 480 of USB 2.0, 5000 of USB 3.
    pub speed_mbit: f64,
}

/// What one camera wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// The camera's name.
    pub camera: String,
    /// Format, size and rate, for people.
    pub mode: String,
    /// Mbit/s.
    pub mbit: f64,
    /// The bus that carries it.
    pub bus: UsbBus,
}

impl Demand {
    /// What frames of this format, size and rate want.
    #[must_use]
    pub fn new(
        camera: &str,
        format: PixelFormat,
        (width, height): (u32, u32),
        fps: f64,
        bus: UsbBus,
    ) -> Self {
        let pixels = f64::from(width) * f64::from(height) * fps;
        Self {
            camera: camera.to_owned(),
            mode: format!("{format} {width} x {height} at {fps}"),
            mbit: pixels * format.bits_per_pixel() as f64 / 1e6,
            bus,
        }
    }
}

/// Refuses cameras whose bus cannot carry them all. USB 2.0 devices share 480 Mbit/s per root even behind a USB 3 hub.
///
/// # Errors
/// [`SetupError::Bandwidth`] of the first bus that is too slow, with the numbers.
pub fn check(demands: &[Demand]) -> Result<(), SetupError> {
    let mut buses: BTreeMap<(&str, u64), Vec<&Demand>> = BTreeMap::new();
    for demand in demands {
        let key = (&*demand.bus.number, demand.bus.speed_mbit as u64);
        buses.entry(key).or_default().push(demand);
    }
    for ((number, _), demands) in buses {
        let Some(first) = demands.first() else {
            continue;
        };
        let most_mbit = first.bus.speed_mbit * PERIODIC_SHARE;
        let sum: f64 = demands.iter().map(|demand| demand.mbit).sum();
        if sum > most_mbit {
            return Err(SetupError::Bandwidth {
                bus: number.to_owned(),
                most_mbit,
                demands: demands.into_iter().cloned().collect(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(camera: &str, format: PixelFormat, number: &str, speed_mbit: f64) -> Demand {
        let bus = UsbBus {
            number: number.to_owned(),
            speed_mbit,
        };
        Demand::new(camera, format, (640, 480), 30.0, bus)
    }

    #[test]
    fn three_raw_cameras_are_too_many_for_one_bus_and_three_mjpg_ones_are_not() {
        let three =
            |format| ["front", "side", "wrist"].map(|name| demand(name, format, "1", 480.0));
        assert!(check(&three(PixelFormat::Mjpg)).is_ok());
        assert!(check(&three(PixelFormat::Yuyv)[..2]).is_ok());
        let error = check(&three(PixelFormat::Yuyv)).unwrap_err().to_string();
        assert_eq!(
            error,
            "USB bus 1 carries 384 Mbit/s of video, its cameras want 442.4: front 147.5 (yuyv 640 x 480 at 30), side 147.5 (yuyv 640 x 480 at 30), wrist 147.5 (yuyv 640 x 480 at 30); use mjpg, a smaller size or rate, or another USB controller"
        );
    }

    #[test]
    fn buses_and_speeds_are_summed_apart() {
        let mut demands = vec![
            demand("a", PixelFormat::Yuyv, "1", 480.0),
            demand("b", PixelFormat::Yuyv, "1", 480.0),
            demand("c", PixelFormat::Yuyv, "2", 480.0),
            demand("d", PixelFormat::Yuyv, "1", 5000.0),
        ];
        assert!(check(&demands).is_ok());
        demands.push(demand("e", PixelFormat::Yuyv, "1", 480.0));
        assert!(check(&demands).is_err());
    }
}
