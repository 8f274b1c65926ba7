//! The messages of a recording as JSON, with their schemas: foxglove's where there is one.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Event;

pub const MEASURED: &str = "/joints/measured";
pub const SETPOINTS: &str = "/joints/setpoints";
pub const TICKS: &str = "/ticks";
pub const CHUNKS: &str = "/policy/chunks";
pub const EVENTS: &str = "/events";
pub const LOG: &str = "/log";
/// Before a camera's name.
pub const CAMERAS: &str = "/cameras/";

/// Time since 1970 (UTC), as foxglove's schemas have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    pub sec: u64,
    pub nsec: u32,
}

impl Time {
    pub fn of_us(time_us: u64) -> Self {
        Self {
            sec: time_us / 1_000_000,
            nsec: (time_us % 1_000_000) as u32 * 1_000,
        }
    }
}

/// foxglove.CompressedImage.
#[derive(Debug, Serialize, Deserialize)]
pub struct CompressedImage<'a> {
    pub timestamp: Time,
    pub frame_id: Cow<'a, str>,
    /// Base64.
    pub data: Cow<'a, str>,
    /// `jpeg`, as the camera delivered it, or `png`, encoded here without loss.
    pub format: Cow<'a, str>,
}

/// foxglove.JointStates.
#[derive(Debug, Serialize)]
pub struct JointStates<'a> {
    pub timestamp: Time,
    pub joints: Vec<JointState<'a>>,
}

/// One of them: rad, the gripper in m of one finger.
#[derive(Debug, Serialize)]
pub struct JointState<'a> {
    pub name: &'a str,
    pub position: f64,
}

/// foxglove.Log.
#[derive(Debug, Serialize)]
pub struct Log<'a> {
    pub timestamp: Time,
    /// 2 for information, 4 for errors.
    pub level: u8,
    pub message: &'a str,
    pub name: &'a str,
    pub file: &'a str,
    pub line: u32,
}

/// One tick of the loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    pub timestamp: Time,
    /// When it was due and when it began, on the loop's clock.
    pub tick_us: u64,
    pub start_us: u64,
    /// Place in the episode.
    pub index: u64,
    /// The joints on the wire (rad, m).
    pub measured: Vec<f64>,
    pub targets: Vec<f64>,
    /// The same as `LeRobot` counts them.
    pub state: Vec<f32>,
    pub command: Vec<f32>,
    /// The policy's action as executed, in its units; `None` where there was none.
    pub action: Option<Vec<f32>>,
    /// Whether limits cut it.
    pub cut: bool,
    pub inferred: bool,
    pub arrived: bool,
    pub captured: bool,
    pub overrun: bool,
    pub stages: Stages,
}

/// How long the stages of a tick took, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    pub measure: u64,
    pub capture: u64,
    pub policy: u64,
    pub control: u64,
    pub link: u64,
    pub work: u64,
    pub wait: u64,
    pub preprocess: u64,
    pub inference: u64,
}

/// A chunk of actions that came from the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    pub timestamp: Time,
    /// When it came, on the loop's clock.
    pub arrived_us: u64,
    /// Time of the observation that it was made of.
    pub observed_us: u64,
    /// The joints of that observation on the wire (rad, m).
    pub measured: Vec<f64>,
    /// The time of each camera's frame; empty where the policy does not look.
    pub frames_us: Vec<u64>,
    pub steps: usize,
    pub dim: usize,
    /// Row by row, in the policy's units; positions that are relative to the observation are made absolute.
    pub data: Vec<f32>,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventMessage {
    pub timestamp: Time,
    /// On the loop's clock.
    pub time_us: u64,
    #[serde(flatten)]
    pub event: Event,
}

fn object(title: &str, properties: Value) -> Value {
    json!({"title": title, "type": "object", "properties": properties})
}

fn time() -> Value {
    json!({"type": "object", "title": "time", "properties": {
        "sec": {"type": "integer", "minimum": 0},
        "nsec": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    }})
}

/// The name and the JSON schema of a topic's messages.
pub fn schema(topic: &str) -> (&'static str, Value) {
    let string = || json!({"type": "string"});
    let integer = || json!({"type": "integer"});
    let boolean = || json!({"type": "boolean"});
    let numbers = || json!({"type": "array", "items": {"type": "number"}});
    let (name, mut properties) = match topic {
        MEASURED | SETPOINTS => (
            "foxglove.JointStates",
            json!({"joints": {"type": "array", "items": object("foxglove.JointState", json!({
                "name": string(), "position": {"type": "number"}, "velocity": {"type": "number"}, "effort": {"type": "number"},
            }))}}),
        ),
        LOG => (
            "foxglove.Log",
            json!({"level": integer(), "message": string(), "name": string(), "file": string(), "line": integer()}),
        ),
        TICKS => (
            "wink.Tick",
            json!({
                "tick_us": integer(), "start_us": integer(), "index": integer(), "measured": numbers(), "targets": numbers(),
                "state": numbers(), "command": numbers(), "action": {"type": ["array", "null"], "items": {"type": "number"}},
                "cut": boolean(), "inferred": boolean(), "arrived": boolean(), "captured": boolean(), "overrun": boolean(),
                "stages": {"type": "object", "additionalProperties": integer()},
            }),
        ),
        CHUNKS => (
            "wink.ActionChunk",
            json!({
                "arrived_us": integer(), "observed_us": integer(), "measured": numbers(),
                "frames_us": {"type": "array", "items": integer()}, "steps": integer(), "dim": integer(), "data": numbers(),
            }),
        ),
        EVENTS => (
            "wink.Event",
            json!({"time_us": integer(), "event": string()}),
        ),
        _ => (
            "foxglove.CompressedImage",
            json!({"frame_id": string(), "data": {"type": "string", "contentEncoding": "base64"}, "format": string()}),
        ),
    };
    properties["timestamp"] = time();
    (name, object(name, properties))
}
