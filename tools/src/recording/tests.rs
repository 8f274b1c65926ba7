//! Tests of the recorder.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use wink_runtime::arm::ArmDescription;
use wink_runtime::camera::Frame;
use wink_runtime::policy::ActionChunk;
use wink_runtime::session::{StageTimes, TickReport};

use super::sink::Storage;
use super::*;

/// A disk that is full after so many bytes.
#[derive(Clone)]
pub struct Disk {
    pub bytes: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Disk {
    pub fn with_room(room: usize) -> Self {
        Self {
            bytes: Arc::default(),
            room,
        }
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.bytes.lock().unwrap();
        let count = bytes.len().min(self.room - disk.len());
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Storage for Disk {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().truncate(bytes as usize);
        Ok(())
    }
}

pub fn report(arm: &ArmDescription, index: u64) -> TickReport {
    TickReport {
        index,
        tick_us: index * 33_333,
        start_us: index * 33_333 + 10,
        proprio: Default::default(),
        measured: arm.wire_home(),
        step: None,
        joint_targets: arm.wire_home(),
        approaching: false,
        waits_for_camera: None,
        inferred: false,
        arrived: false,
        captured: false,
        overrun: false,
        times: StageTimes::default(),
        policy_times: Default::default(),
    }
}

fn recorder(disk: &Disk) -> (Recorder, ArmDescription) {
    let arm = wink_sim::setup::SO101.arm();
    let facts = Facts::of(&arm, "sim", 30.0).with_cameras([("observation.images.front", &[][..])]);
    let path = std::path::Path::new("x.mcap");
    let recorder = Recorder::start_on(disk.clone(), path, facts, &arm, 0).unwrap();
    (recorder, arm)
}

#[test]
fn what_is_recorded_is_read_by_the_formats_own_reader() {
    let disk = Disk::with_room(usize::MAX);
    let (recorder, arm) = recorder(&disk);
    recorder.event(0, Event::EpisodeBegin);
    for index in 0..20 {
        recorder.tick(&report(&arm, index));
    }
    let mut chunk = ActionChunk::default();
    chunk.reset(2, 6);
    recorder.chunk(7, &chunk, &[Frame::default()], &arm.wire_home(), 5);
    let summary = recorder.finish();
    assert_eq!((summary.trouble, summary.lost.total()), (None, 0));
    let bytes = disk.bytes.lock().unwrap();
    assert_eq!(summary.bytes, bytes.len() as u64);
    let messages: Vec<_> = mcap::MessageStream::new(&bytes)
        .unwrap()
        .map(|message| message.unwrap())
        .collect();
    assert_eq!(messages.len() as u64, summary.messages);
    let of = |topic: &str| messages.iter().filter(|m| m.channel.topic == topic).count();
    let topics = [
        "/ticks",
        "/joints/measured",
        "/joints/setpoints",
        "/policy/chunks",
        "/events",
        "/log",
    ];
    assert_eq!(topics.map(of), [20, 20, 20, 1, 1, 1]);
    for message in &messages {
        let schema = message.channel.schema.as_ref().unwrap();
        let schema: serde_json::Value = serde_json::from_slice(&schema.data).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&message.data).unwrap();
        let declared = schema["properties"].as_object().unwrap();
        for name in value.as_object().unwrap().keys() {
            assert!(
                declared.contains_key(name),
                "{name} of {}",
                message.channel.topic
            );
        }
    }
}

#[test]
fn a_full_disk_ends_the_recording_with_what_was_whole_and_blocks_nothing() {
    let disk = Disk::with_room(3_000_000);
    let (recorder, arm) = recorder(&disk);
    let mut index = 0;
    while recorder.trouble().is_none() {
        recorder.tick(&report(&arm, index));
        index += 1;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    recorder.tick(&report(&arm, index));
    let summary = recorder.finish();
    assert!(
        summary.lost.ticks > 0 && summary.trouble.is_some(),
        "{summary:?}"
    );
    let bytes = disk.bytes.lock().unwrap();
    assert_eq!(summary.bytes, bytes.len() as u64);
    let mut read = Reader::new(&bytes[..], "x".to_owned()).unwrap();
    let whole: Vec<Entry> = read.by_ref().map(|entry| entry.unwrap()).collect();
    assert!(whole.len() > 10, "{}", whole.len());
    assert!(read.cut_off().is_some());
}

/// A recording of some ticks, frames and events.
fn recorded(ticks: u64) -> Vec<u8> {
    let disk = Disk::with_room(usize::MAX);
    let (recorder, arm) = recorder(&disk);
    for index in 0..ticks {
        recorder.tick(&report(&arm, index));
        if index % 4 == 0 {
            recorder.event(index, Event::Speed { scale: 0.25 });
        }
    }
    let summary = recorder.finish();
    assert_eq!(summary.lost.total(), 0);
    disk.bytes.lock().unwrap().clone()
}

#[test]
fn a_recording_that_is_cut_off_anywhere_is_read_as_far_as_it_is_whole() {
    let bytes = recorded(8);
    let read = |bytes: &[u8]| {
        let mut reader = Reader::new(bytes, "x".to_owned())?;
        let entries = reader.by_ref().collect::<anyhow::Result<Vec<Entry>>>()?;
        Ok::<_, anyhow::Error>((entries.len(), reader.cut_off().is_some()))
    };
    assert_eq!(read(&bytes).unwrap(), (10, false));
    let mut before = 0;
    for end in (0..bytes.len()).step_by(37) {
        match read(&bytes[..end]) {
            Err(error) => {
                assert_eq!(crate::bad_input::exit_code(&error), 2);
                assert_eq!(before, 0, "{error:#}");
            }
            Ok((count, cut_off)) => {
                assert!(cut_off && count >= before, "{end}");
                before = count;
            }
        }
    }
    assert_eq!(before, 10);
}

#[test]
fn a_damaged_recording_never_panics_and_says_which_file_it_is() {
    let bytes = recorded(4);
    for place in (0..bytes.len()).step_by(11) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x20;
        match Reader::new(&damaged[..], "x.mcap".to_owned()) {
            Err(error) => assert!(crate::bad_input::one_line(&error).contains("x.mcap")),
            Ok(reader) => {
                for error in reader.filter_map(Result::err) {
                    assert!(crate::bad_input::one_line(&error).contains("x.mcap"));
                }
            }
        }
    }
}
