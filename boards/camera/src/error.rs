//! Why a camera cannot be had.

use crate::bandwidth::Demand;

/// Why a camera cannot be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The build has no V4L2.
    #[error("camera {camera}: {}", crate::HOW_TO_GET_DEVICES)]
    NoDevices {
        /// The camera's name.
        camera: String,
    },
    /// The device cannot be opened.
    #[error("camera {camera}: {path}: {message}")]
    Open {
        /// The camera's name.
        camera: String,
        /// Its device.
        path: String,
        /// Why, and what to do.
        message: String,
    },
    /// Another program streams from it.
    #[error("camera {camera}: {path} is held by another program{holder}: end that program first")]
    Busy {
        /// The camera's name.
        camera: String,
        /// Its device.
        path: String,
        /// Which program, where that can be seen.
        holder: String,
    },
    /// No format gives the size and rate.
    #[error("camera {camera}: {path} gives no {wanted}; it offers {offered}")]
    NoFormat {
        /// The camera's name.
        camera: String,
        /// Its device.
        path: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        offered: String,
    },
    /// A control is not there or did not take its value.
    #[error("camera {camera}: control {control}: {message}")]
    Control {
        /// The camera's name.
        camera: String,
        /// The control's name.
        control: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// The device fails.
    #[error("camera {camera}: {path}: {doing}: {source}{hint}")]
    Device {
        /// The camera's name.
        camera: String,
        /// Its device.
        path: String,
        /// During what.
        doing: &'static str,
        /// The operating system's words.
        source: std::io::Error,
        /// What to do, with a colon before it; may be empty.
        hint: &'static str,
    },
    /// The cameras of one USB bus want more than it carries.
    #[error(
        "USB bus {bus} carries {most_mbit:.0} Mbit/s of video, its cameras want {}: {}; use mjpg, a smaller size or rate, or another USB controller",
        wanted(.demands), list(.demands)
    )]
    Bandwidth {
        /// The bus.
        bus: String,
        /// What it carries.
        most_mbit: f64,
        /// What each camera wants.
        demands: Vec<Demand>,
    },
    /// A command gives no frames.
    #[error("camera {camera}: `{command}`: {message}")]
    Command {
        /// The camera's name.
        camera: String,
        /// The command.
        command: String,
        /// Why, in the command's own words where it has some.
        message: String,
    },
    /// The operating system gives no thread.
    #[error("camera {camera}: its thread cannot be started: {source}")]
    Thread {
        /// The camera's name.
        camera: String,
        /// The operating system's words.
        source: std::io::Error,
    },
}

fn wanted(demands: &[Demand]) -> String {
    let sum: f64 = demands.iter().map(|demand| demand.mbit).sum();
    format!("{sum:.1}")
}

fn list(demands: &[Demand]) -> String {
    let parts: Vec<String> = demands
        .iter()
        .map(|demand| format!("{} {:.1} ({})", demand.camera, demand.mbit, demand.mode))
        .collect();
    parts.join(", ")
}
