//! What waits to be written: a bounded queue between the loop and the writer. Buffers go to and fro; once they have grown,
//! nothing is allocated.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wink_runtime::arm::JointValues;
use wink_runtime::camera::Frame;
use wink_runtime::policy::ActionChunk;
use wink_runtime::session::TickReport;

use super::Event;

/// Most items that wait.
const MOST_ITEMS: usize = 1024;
/// Most bytes of pictures that wait, whether a few large ones or many small ones.
const MOST_PICTURE_BYTES: usize = 64 << 20;
/// Most cameras whose frame times a chunk keeps.
const MOST_CAMERAS: usize = 8;

/// A piece of a recording.
#[expect(
    clippy::large_enum_variant,
    reason = "a box for each tick would be an allocation for each tick"
)]
pub enum Item {
    Tick(TickReport),
    Frame { camera: usize, frame: Frame },
    Chunk(Box<Observed>),
    Event { time_us: u64, event: Event },
}

/// A chunk and the observation that it was made of.
#[derive(Debug, Default)]
pub struct Observed {
    pub arrived_us: u64,
    pub observed_us: u64,
    pub measured: JointValues,
    pub frames_us: heapless::Vec<u64, MOST_CAMERAS>,
    pub chunk: ActionChunk,
}

/// How much of each kind was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Lost {
    pub ticks: u64,
    pub frames: u64,
    pub chunks: u64,
    pub events: u64,
}

impl Lost {
    /// All that was left out.
    pub const fn total(&self) -> u64 {
        self.ticks + self.frames + self.chunks + self.events
    }

    fn count(&mut self, item: &Item) {
        match item {
            Item::Tick(_) => self.ticks += 1,
            Item::Frame { .. } => self.frames += 1,
            Item::Chunk(_) => self.chunks += 1,
            Item::Event { .. } => self.events += 1,
        }
    }
}

struct Desk {
    items: VecDeque<Item>,
    picture_bytes: usize,
    frames: Vec<Frame>,
    #[expect(clippy::vec_box, reason = "the boxes go to the writer and come back")]
    chunks: Vec<Box<Observed>>,
    lost: Lost,
    closed: bool,
    trouble: Option<String>,
}

/// The queue.
pub struct Queue {
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// What the writer takes from the queue.
#[expect(
    clippy::large_enum_variant,
    reason = "it is looked at where it is made"
)]
pub enum Taken {
    Item(Item),
    /// Nothing came in time.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

impl Queue {
    pub fn new() -> Self {
        Self {
            desk: Mutex::new(Desk {
                items: VecDeque::with_capacity(MOST_ITEMS),
                picture_bytes: 0,
                frames: Vec::with_capacity(MOST_ITEMS),
                chunks: Vec::with_capacity(MOST_ITEMS),
                lost: Lost::default(),
                closed: false,
                trouble: None,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        // The desk is whole between any two statements that hold it.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut desk: MutexGuard<'_, Desk>, item: Item) {
        let bytes = picture_bytes(&item);
        let full =
            desk.items.len() >= MOST_ITEMS || desk.picture_bytes + bytes > MOST_PICTURE_BYTES;
        if full || desk.trouble.is_some() || desk.closed {
            desk.lost.count(&item);
            desk.reuse(item);
            return;
        }
        desk.picture_bytes += bytes;
        desk.items.push_back(item);
        drop(desk);
        self.changed.notify_one();
    }

    pub fn tick(&self, report: &TickReport) {
        self.push(self.lock(), Item::Tick(*report));
    }

    pub fn event(&self, time_us: u64, event: Event) {
        self.push(self.lock(), Item::Event { time_us, event });
    }

    /// Copies a frame: the camera's own JPEG file where there is one, else its pixels.
    pub fn frame(&self, camera: usize, frame: &Frame) {
        let mut desk = self.lock();
        let mut copy = desk.frames.pop().unwrap_or_default();
        drop(desk);
        copy.width = frame.width;
        copy.height = frame.height;
        copy.time_us = frame.time_us;
        copy.rgb.clear();
        copy.jpeg.clear();
        match frame.jpeg.is_empty() {
            true => copy.rgb.extend_from_slice(&frame.rgb),
            false => copy.jpeg.extend_from_slice(&frame.jpeg),
        }
        let item = Item::Frame {
            camera,
            frame: copy,
        };
        self.push(self.lock(), item);
    }

    /// Copies a chunk; `fill` says what it was made of.
    pub fn chunk(&self, chunk: &ActionChunk, fill: impl FnOnce(&mut Observed)) {
        let mut desk = self.lock();
        let mut observed = desk.chunks.pop().unwrap_or_default();
        observed.frames_us.clear();
        observed.chunk.steps = chunk.steps;
        observed.chunk.dim = chunk.dim;
        observed.chunk.data.clear();
        observed.chunk.data.extend_from_slice(&chunk.data);
        fill(&mut observed);
        self.push(desk, Item::Chunk(observed));
    }

    /// The next item, waiting at most so long.
    pub fn take(&self, wait: Duration) -> Taken {
        let empty = |desk: &mut Desk| desk.items.is_empty() && !desk.closed;
        let waited = self.changed.wait_timeout_while(self.lock(), wait, empty);
        let mut desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        match desk.items.pop_front() {
            Some(item) => {
                desk.picture_bytes -= picture_bytes(&item);
                Taken::Item(item)
            }
            None if desk.closed => Taken::Closed,
            None => Taken::Nothing,
        }
    }

    /// Gives the buffers of an item back that was written.
    pub fn give_back(&self, item: Item) {
        self.lock().reuse(item);
    }

    /// Says that nothing is written any more, and why. What waits is lost.
    pub fn fail(&self, why: String) {
        let mut desk = self.lock();
        while let Some(item) = desk.items.pop_front() {
            desk.lost.count(&item);
            desk.reuse(item);
        }
        desk.picture_bytes = 0;
        desk.trouble = Some(why);
    }

    /// Why nothing is written any more, where that is so.
    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// What was left out so far.
    pub fn lost(&self) -> Lost {
        self.lock().lost
    }

    /// Says that nothing will come any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }
}

impl Desk {
    fn reuse(&mut self, item: Item) {
        match item {
            Item::Frame { frame, .. } if self.frames.len() < MOST_ITEMS => self.frames.push(frame),
            Item::Chunk(observed) if self.chunks.len() < MOST_ITEMS => self.chunks.push(observed),
            _ => {}
        }
    }
}

fn picture_bytes(item: &Item) -> usize {
    match item {
        Item::Frame { frame, .. } => frame.rgb.len() + frame.jpeg.len(),
        _ => 0,
    }
}
