//! Reading a recording: from its beginning, as far as it is whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcap::records::Record;
use mcap::sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions};

use super::facts::RECORD;
use super::messages::{CAMERAS, CHUNKS, Chunk, CompressedImage, EVENTS, EventMessage, TICKS, Tick};
use super::{Event, Facts};
use crate::bad_input::{as_bad_input, bad_input};

/// Longest record that is read: a chunk of the file holds some megabytes, and a picture may be larger than that.
const MOST_RECORD_BYTES: usize = 256 << 20;

/// A picture of a recording, not decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Place among the cameras of [`Facts::cameras`].
    pub camera: usize,
    /// On the loop's clock.
    pub time_us: u64,
    /// A file of this format: `jpeg` or `png`.
    pub format: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// What a recording holds, in the order in which it was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A tick of the loop.
    Tick(Box<Tick>),
    /// A chunk of the policy.
    Chunk(Chunk),
    /// A camera's frame.
    Picture(Picture),
    /// Something happened.
    Event {
        /// On the loop's clock.
        time_us: u64,
        /// What.
        event: Event,
    },
}

/// Reads a recording entry by entry. Memory holds one chunk of the file at a time.
pub struct Reader<R> {
    source: R,
    told: String,
    linear: LinearReader,
    facts: Facts,
    channels: BTreeMap<u16, String>,
    pictures: bool,
    cut_off: Option<String>,
    ended: bool,
}

enum Piece {
    Facts(Facts),
    Entry(Entry),
}

impl Reader<BufReader<File>> {
    /// Opens a recording.
    ///
    /// # Errors
    /// When the file is not a recording of this tool.
    pub fn open(path: &Path) -> Result<Self> {
        let told = path.display().to_string();
        let file = File::open(path).map_err(|error| bad_input(format!("{told}: {error}")))?;
        Self::new(BufReader::new(file), told)
    }
}

impl<R: Read> Reader<R> {
    /// Begins to read; `told` names the source in errors.
    ///
    /// # Errors
    /// When it is not a recording of this tool.
    pub fn new(source: R, told: String) -> Result<Self> {
        let options = LinearReaderOptions::default()
            .with_prevalidate_chunk_crcs(true)
            .with_record_length_limit(MOST_RECORD_BYTES);
        let mut source = source;
        let mut linear = LinearReader::new_with_options(options);
        let mut channels = BTreeMap::new();
        let first = next_piece(&mut source, &mut linear, &mut channels, None);
        let facts = match first {
            Ok(Some(Piece::Facts(facts))) => facts,
            Ok(_) => {
                return Err(bad_input(format!(
                    "{told}: no recording of wink: its metadata lack the record `{RECORD}`"
                )));
            }
            Err(error) => {
                return Err(as_bad_input(
                    error.context(format!("{told}: no recording of wink")),
                ));
            }
        };
        Ok(Self {
            source,
            told,
            linear,
            facts,
            channels,
            pictures: true,
            cut_off: None,
            ended: false,
        })
    }

    /// Leaves pictures out.
    #[must_use]
    pub fn without_pictures(mut self) -> Self {
        self.pictures = false;
        self
    }

    /// What holds for all of the recording.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Why the recording ends before its end was written, where it did: known once all entries were read.
    pub fn cut_off(&self) -> Option<&str> {
        self.cut_off.as_deref()
    }

    fn cameras(&self) -> Vec<String> {
        let cameras = self.facts.cameras.iter();
        cameras.map(|camera| camera.name.clone()).collect()
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let cameras = self.pictures.then(|| self.cameras());
        loop {
            match next_piece(
                &mut self.source,
                &mut self.linear,
                &mut self.channels,
                cameras.as_deref(),
            ) {
                Ok(Some(Piece::Entry(mut entry))) => {
                    if let Entry::Picture(picture) = &mut entry {
                        let zero_us = self.facts.clock_zero_us;
                        picture.time_us = picture.time_us.saturating_sub(zero_us);
                    }
                    return Some(Ok(entry));
                }
                Ok(Some(Piece::Facts(_))) => {}
                Ok(None) => {
                    self.ended = true;
                    return None;
                }
                Err(error) => {
                    self.ended = true;
                    if error.downcast_ref::<mcap::McapError>().is_some() {
                        self.cut_off = Some(format!("{error:#}"));
                        return None;
                    }
                    let told = self.told.clone();
                    return Some(Err(as_bad_input(error.context(told))));
                }
            }
        }
    }
}

/// The next piece that means something; `None` at the end.
fn next_piece(
    source: &mut impl Read,
    linear: &mut LinearReader,
    channels: &mut BTreeMap<u16, String>,
    cameras: Option<&[String]>,
) -> Result<Option<Piece>> {
    while let Some(event) = linear.next_event() {
        match event? {
            LinearReadEvent::ReadRequest(need) => {
                let count = source.read(linear.insert(need))?;
                linear.notify_read(count);
            }
            LinearReadEvent::Record { data, opcode } => {
                let piece = match mcap::parse_record(opcode, data)? {
                    Record::Metadata(metadata) if metadata.name == RECORD => {
                        Some(Piece::Facts(Facts::from_metadata(&metadata.metadata)?))
                    }
                    Record::Channel(channel) => {
                        channels.insert(channel.id, channel.topic);
                        None
                    }
                    Record::Message { header, data } => {
                        let topic = channels.get(&header.channel_id).map(String::as_str);
                        let topic = topic.context("a message has no channel")?;
                        entry(topic, &data, cameras)
                            .with_context(|| format!("a message of {topic}"))?
                            .map(Piece::Entry)
                    }
                    _ => None,
                };
                if piece.is_some() {
                    return Ok(piece);
                }
            }
        }
    }
    Ok(None)
}

/// A message; `None` of a topic that only viewers need.
fn entry(topic: &str, data: &[u8], cameras: Option<&[String]>) -> Result<Option<Entry>> {
    Ok(Some(match topic {
        TICKS => Entry::Tick(serde_json::from_slice(data)?),
        CHUNKS => {
            let chunk: Chunk = serde_json::from_slice(data)?;
            if chunk.steps.checked_mul(chunk.dim) != Some(chunk.data.len()) {
                bail!(
                    "it has {} values for {} x {}",
                    chunk.data.len(),
                    chunk.steps,
                    chunk.dim
                );
            }
            Entry::Chunk(chunk)
        }
        EVENTS => {
            let message: EventMessage = serde_json::from_slice(data)?;
            Entry::Event {
                time_us: message.time_us,
                event: message.event,
            }
        }
        topic => match topic.strip_prefix(CAMERAS) {
            None => return Ok(None),
            Some(_) if cameras.is_none() => return Ok(None),
            Some(name) => {
                let cameras = cameras.unwrap_or_default();
                let camera = cameras.iter().position(|camera| camera == name);
                let image: CompressedImage<'_> = serde_json::from_slice(data)?;
                let stamp = image.timestamp;
                Entry::Picture(Picture {
                    camera: camera.context("its metadata do not name the camera")?,
                    time_us: stamp
                        .sec
                        .saturating_mul(1_000_000)
                        .saturating_add(u64::from(stamp.nsec) / 1_000),
                    format: image.format.into_owned(),
                    bytes: STANDARD.decode(image.data.as_bytes())?,
                })
            }
        },
    }))
}
