//! The writer's thread: items of the queue become messages of an MCAP file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use mcap::records::MessageHeader;
use mcap::write::NoSeek;
use serde::Serialize;
use wink_runtime::arm::ArmDescription;
use wink_runtime::camera::Frame;
use wink_runtime::control::JointUnits;
use wink_runtime::session::TickReport;

use super::Event;
use super::Facts;
use super::messages::{
    CAMERAS, CHUNKS, Chunk, CompressedImage, EVENTS, EventMessage, JointState, JointStates, LOG,
    Log, MEASURED, SETPOINTS, Stages, TICKS, Tick, Time, schema,
};
use super::queue::{Item, Observed, Queue, Taken};
use super::sink::{Sink, Storage};

/// Time from flush to flush: what a run that is cut off loses at most.
const FLUSH: Duration = Duration::from_millis(500);
/// A chunk of the file that has grown so large is closed before that.
const CHUNK_BYTES: u64 = 4 << 20;

/// Writes an MCAP file.
pub struct Writer<S: Storage> {
    mcap: mcap::Writer<NoSeek<Sink<S>>>,
    whole: Arc<AtomicU64>,
    facts: Facts,
    units: JointUnits,
    channels: Channels,
    /// Buffers that are used again.
    json: Vec<u8>,
    png: Vec<u8>,
    text: String,
    messages: u64,
    flushed: Instant,
}

struct Channels {
    ids: BTreeMap<&'static str, u16>,
    cameras: Vec<u16>,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub messages: u64,
    pub bytes: u64,
}

impl<S: Storage> Writer<S> {
    /// Begins a file: its metadata are on the disk when this returns.
    pub fn create(storage: S, facts: Facts, arm: &ArmDescription) -> Result<Self> {
        let sink = Sink::new(storage);
        let whole = sink.whole();
        let mut mcap = mcap::WriteOptions::new()
            .compression(None)
            .profile("")
            .library(concat!("wink ", env!("CARGO_PKG_VERSION")))
            .chunk_size(Some(CHUNK_BYTES))
            .disable_seeking(true)
            .create(NoSeek::new(sink))?;
        mcap.write_metadata(&facts.to_metadata()?)?;
        let mut add = |topic: &str| -> Result<u16> {
            let (name, schema) = schema(topic);
            let schema = mcap.add_schema(name, "jsonschema", schema.to_string().as_bytes())?;
            Ok(mcap.add_channel(schema, topic, "json", &BTreeMap::new())?)
        };
        let mut ids = BTreeMap::new();
        for topic in [MEASURED, SETPOINTS, TICKS, CHUNKS, EVENTS, LOG] {
            ids.insert(topic, add(topic)?);
        }
        let cameras = facts.cameras.iter();
        let cameras = cameras
            .map(|camera| add(&format!("{CAMERAS}{}", camera.name)))
            .collect::<Result<_>>()?;
        mcap.flush()?;
        Ok(Self {
            units: JointUnits::new(arm, &facts.lerobot_names, &facts.lerobot_units)?,
            mcap,
            whole,
            facts,
            channels: Channels { ids, cameras },
            json: Vec::new(),
            png: Vec::new(),
            text: String::new(),
            messages: 0,
            flushed: Instant::now(),
        })
    }

    /// Writes what comes until the queue is closed. A failure goes to the queue; the recording then ends at what was whole.
    pub fn run(mut self, queue: &Queue) -> Written {
        let outcome = self.serve(queue);
        let finished = outcome.and_then(|()| {
            self.mcap.finish()?;
            Ok(())
        });
        let messages = self.messages;
        let mut sink = self.mcap.into_inner().into_inner();
        let flushed = finished.and_then(|()| Ok(std::io::Write::flush(&mut sink)?));
        if let Err(error) = flushed {
            sink.cut_to_whole();
            queue.fail(format!("{error:#}"));
        }
        Written {
            messages,
            bytes: self.whole.load(Ordering::Relaxed),
        }
    }

    fn serve(&mut self, queue: &Queue) -> Result<()> {
        loop {
            let left = FLUSH.saturating_sub(self.flushed.elapsed());
            if left.is_zero() {
                self.mcap.flush()?;
                self.flushed = Instant::now();
                continue;
            }
            match queue.take(left) {
                Taken::Item(item) => {
                    self.item(&item)?;
                    queue.give_back(item);
                }
                Taken::Nothing => {}
                Taken::Closed => return Ok(()),
            }
        }
    }

    fn item(&mut self, item: &Item) -> Result<()> {
        match item {
            Item::Tick(report) => self.tick(report),
            Item::Frame { camera, frame } => self.frame(*camera, frame),
            Item::Chunk(observed) => self.chunk(observed),
            Item::Event { time_us, event } => self.event(*time_us, event),
        }
    }

    fn unix_us(&self, time_us: u64) -> u64 {
        self.facts.clock_zero_us.saturating_add(time_us)
    }

    fn write(&mut self, channel: u16, time_us: u64, message: &impl Serialize) -> Result<()> {
        self.json.clear();
        serde_json::to_writer(&mut self.json, message)?;
        let log_time = self.unix_us(time_us).saturating_mul(1_000);
        self.messages += 1;
        let header = MessageHeader {
            channel_id: channel,
            sequence: self.messages as u32,
            log_time,
            publish_time: log_time,
        };
        Ok(self.mcap.write_to_known_channel(&header, &self.json)?)
    }

    fn tick(&mut self, report: &TickReport) -> Result<()> {
        let time_us = report.start_us;
        let timestamp = Time::of_us(self.unix_us(time_us));
        for (topic, positions) in [
            (MEASURED, &report.measured),
            (SETPOINTS, &report.joint_targets),
        ] {
            let names = std::mem::take(&mut self.facts.joints);
            let joints = names.iter().zip(positions.iter());
            let states = JointStates {
                timestamp,
                joints: joints
                    .map(|(name, &position)| JointState { name, position })
                    .collect(),
            };
            let written = self.write(self.channels.ids[topic], time_us, &states);
            drop(states);
            self.facts.joints = names;
            written?;
        }
        let us = |time: Duration| time.as_micros() as u64;
        let times = &report.times;
        let tick = Tick {
            timestamp,
            tick_us: report.tick_us,
            start_us: report.start_us,
            index: report.index,
            measured: report.measured.to_vec(),
            targets: report.joint_targets.to_vec(),
            state: self.units.values(&report.measured).collect(),
            command: self.units.values(&report.joint_targets).collect(),
            action: report.step.map(|step| step.action.to_vec()),
            cut: report.step.is_some_and(|step| step.cut),
            inferred: report.inferred,
            arrived: report.arrived,
            captured: report.captured,
            overrun: report.overrun,
            stages: Stages {
                measure: us(times.measure),
                capture: us(times.capture),
                policy: us(times.policy),
                control: us(times.control),
                link: us(times.link),
                work: us(times.work),
                wait: us(times.wait),
                preprocess: report.policy_times.preprocess_us,
                inference: report.policy_times.inference_us,
            },
        };
        self.write(self.channels.ids[TICKS], time_us, &tick)
    }

    fn frame(&mut self, camera: usize, frame: &Frame) -> Result<()> {
        let Some(&channel) = self.channels.cameras.get(camera) else {
            return Ok(());
        };
        let (bytes, format) = if frame.jpeg.is_empty() {
            self.png.clear();
            let cursor = Cursor::new(&mut self.png);
            PngEncoder::new_with_quality(cursor, CompressionType::Fast, FilterType::Up)
                .write_image(
                    &frame.rgb,
                    frame.width,
                    frame.height,
                    ExtendedColorType::Rgb8,
                )?;
            (&self.png, "png")
        } else {
            (&frame.jpeg, "jpeg")
        };
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        STANDARD.encode_string(bytes, &mut text);
        let name = self.facts.cameras[camera].name.clone();
        let image = CompressedImage {
            timestamp: Time::of_us(self.unix_us(frame.time_us)),
            frame_id: Cow::Borrowed(&name),
            data: Cow::Borrowed(&text),
            format: Cow::Borrowed(format),
        };
        let written = self.write(channel, frame.time_us, &image);
        drop(image);
        self.text = text;
        written
    }

    fn chunk(&mut self, observed: &Observed) -> Result<()> {
        let chunk = Chunk {
            timestamp: Time::of_us(self.unix_us(observed.arrived_us)),
            arrived_us: observed.arrived_us,
            observed_us: observed.observed_us,
            measured: observed.measured.to_vec(),
            frames_us: observed.frames_us.to_vec(),
            steps: observed.chunk.steps,
            dim: observed.chunk.dim,
            data: observed.chunk.data.clone(),
        };
        self.write(self.channels.ids[CHUNKS], observed.arrived_us, &chunk)
    }

    fn event(&mut self, time_us: u64, event: &Event) -> Result<()> {
        let timestamp = Time::of_us(self.unix_us(time_us));
        let log = Log {
            timestamp,
            level: match event {
                Event::Error { .. } => 4,
                _ => 2,
            },
            message: &event.to_string(),
            name: "wink",
            file: "",
            line: 0,
        };
        self.write(self.channels.ids[LOG], time_us, &log)?;
        let message = EventMessage {
            timestamp,
            time_us,
            event: event.clone(),
        };
        self.write(self.channels.ids[EVENTS], time_us, &message)
    }
}
