//! Three buffers between a capture thread and the loop: one is filled, one is read, the third holds the newest frame. Nothing is
//! allocated once the buffers have grown.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wink_runtime::camera::Freshness;

use crate::format::Layout;

/// A frame as the camera gave it.
#[derive(Debug, Clone, Default)]
pub struct RawFrame {
    /// How the bytes are laid out.
    pub layout: Layout,
    /// The bytes that the camera filled, no more.
    pub bytes: Vec<u8>,
    /// When the frame was taken, microseconds on the loop's clock.
    pub time_us: u64,
    /// Counts the frames that were published; the first is 1.
    pub sequence: u64,
}

/// What a camera has met since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Good frames.
    pub frames: u64,
    /// Frames that nobody looked at before the next one came.
    pub passed_over: u64,
    /// Frames that were damaged, too short, or did not decode.
    pub damaged: u64,
    /// How often streaming was started anew.
    pub restarts: u64,
    /// How often the camera came back after it was gone.
    pub replugs: u64,
    /// The last frames that hold the same bytes as the one before.
    pub repeated: u64,
}

/// Whether frames can be expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Yes.
    Streaming,
    /// Not now; the capture thread tries to get the camera back.
    Lost(String),
    /// Never again.
    Ended(String),
}

#[derive(Debug)]
struct Desk {
    newest: RawFrame,
    /// Whether `newest` was not taken yet.
    fresh: bool,
    state: State,
    counts: Counts,
    /// The time of the first of the last equal frames.
    same_since_us: u64,
    /// Set by the reader when it goes.
    stop: bool,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        // The desk is whole between any two statements that hold it.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both ends.
pub(crate) fn newest_frame() -> (Writer, Reader) {
    let shared = Arc::new(Shared {
        desk: Mutex::new(Desk {
            newest: RawFrame::default(),
            fresh: false,
            state: State::Streaming,
            counts: Counts::default(),
            same_since_us: 0,
            stop: false,
        }),
        changed: Condvar::new(),
    });
    let writer = Writer {
        shared: Arc::clone(&shared),
        back: RawFrame::default(),
        digest: None,
    };
    let reader = Reader {
        shared,
        front: RawFrame::default(),
    };
    (writer, reader)
}

/// The capture thread's end.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// To be filled.
    pub(crate) back: RawFrame,
    /// Of the frame before.
    digest: Option<u64>,
}

impl Writer {
    /// Makes the back buffer the newest frame.
    pub(crate) fn publish(&mut self) {
        let digest = digest(&self.back.bytes);
        let repeated = self.digest.replace(digest) == Some(digest);
        let mut desk = self.shared.lock();
        let counts = &mut desk.counts;
        counts.frames += 1;
        counts.repeated = if repeated { counts.repeated + 1 } else { 0 };
        self.back.sequence = counts.frames;
        if !repeated {
            desk.same_since_us = self.back.time_us;
        }
        if desk.fresh {
            desk.counts.passed_over += 1;
        }
        std::mem::swap(&mut desk.newest, &mut self.back);
        desk.fresh = true;
        desk.state = State::Streaming;
        drop(desk);
        self.shared.changed.notify_all();
    }

    /// Changes what is counted.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.shared.lock().counts);
    }

    /// Says that no frame comes, and why.
    pub(crate) fn set_state(&self, state: State) {
        self.shared.lock().state = state;
        self.shared.changed.notify_all();
    }

    /// Whether the reader is gone.
    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.lock().stop
    }

    /// Sleeps, unless the reader goes meanwhile.
    pub(crate) fn pause(&self, time: Duration) {
        let desk = self.shared.lock();
        let paused = self
            .shared
            .changed
            .wait_timeout_while(desk, time, |desk| !desk.stop);
        drop(paused);
    }
}

/// Why there is no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// None came in time.
    TimedOut,
    /// The camera is gone, for now or for ever.
    Gone(String),
}

/// The loop's end.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    /// The frame that was taken last.
    pub(crate) front: RawFrame,
}

impl Reader {
    /// Takes the newest frame. Where it was taken before, `again` says whether it will do; where not, the next one is waited for.
    pub(crate) fn take(
        &mut self,
        timeout: Duration,
        again: impl Fn(&RawFrame) -> bool,
    ) -> Result<(), NoFrame> {
        let deadline = Instant::now() + timeout;
        let mut desk = self.shared.lock();
        loop {
            if desk.fresh {
                std::mem::swap(&mut desk.newest, &mut self.front);
                desk.fresh = false;
                return Ok(());
            }
            if self.front.sequence > 0 && again(&self.front) {
                return Ok(());
            }
            if let State::Ended(why) = &desk.state {
                return Err(NoFrame::Gone(why.clone()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(match &desk.state {
                    State::Lost(why) => NoFrame::Gone(why.clone()),
                    _ => NoFrame::TimedOut,
                });
            }
            let waited = self.shared.changed.wait_timeout(desk, left);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What the camera has met.
    pub(crate) fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// How fresh the newest frame is, taken or not.
    pub(crate) fn freshness(&self) -> Freshness {
        let desk = self.shared.lock();
        let newest = if desk.fresh {
            &desk.newest
        } else {
            &self.front
        };
        Freshness {
            newest_us: (desk.counts.frames > 0).then_some(newest.time_us),
            repeated: desk.counts.repeated,
            repeated_us: newest.time_us.saturating_sub(desk.same_since_us),
        }
    }

    /// Changes what is counted.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.shared.lock().counts);
    }

    /// Tells the capture thread to end.
    pub(crate) fn stop(&self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
    }
}

/// A number that tells frames apart: noise of a sensor changes it, a camera that repeats itself does not.
fn digest(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = bytes.as_chunks::<32>();
    let mut lanes = [bytes.len() as u64, 1, 2, 3];
    for word in words {
        for (lane, part) in lanes.iter_mut().zip(word.as_chunks::<8>().0) {
            *lane = (*lane ^ u64::from_le_bytes(*part)).wrapping_mul(FACTOR);
        }
    }
    for &byte in rest {
        lanes[0] = (lanes[0] ^ u64::from(byte)).wrapping_mul(FACTOR);
    }
    lanes.into_iter().fold(0, |sum, lane| {
        (sum.rotate_left(17) ^ lane).wrapping_mul(FACTOR)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn publish(writer: &mut Writer, bytes: &[u8], time_us: u64) {
        writer.back.bytes.clear();
        writer.back.bytes.extend_from_slice(bytes);
        writer.back.time_us = time_us;
        writer.publish();
    }

    #[test]
    fn the_newest_frame_wins_and_is_taken_once() {
        let (mut writer, mut reader) = newest_frame();
        assert_eq!(reader.freshness(), Freshness::default());
        for time_us in 1..=3 {
            publish(&mut writer, &[time_us as u8; 40], time_us);
        }
        assert_eq!(reader.freshness().newest_us, Some(3));
        reader.take(LONG, |_| false).unwrap();
        assert_eq!((reader.front.time_us, reader.front.sequence), (3, 3));
        assert_eq!(reader.freshness().newest_us, Some(3));
        let counts = reader.counts();
        assert_eq!((counts.frames, counts.passed_over), (3, 2));
        assert_eq!(
            reader.take(Duration::from_millis(1), |_| false),
            Err(NoFrame::TimedOut)
        );
        reader.take(LONG, |frame| frame.time_us == 3).unwrap();
        assert_eq!(reader.front.time_us, 3, "the same again where it will do");
    }

    #[test]
    fn a_reader_wakes_when_a_frame_comes_and_when_none_will_come() {
        let (mut writer, mut reader) = newest_frame();
        let thread = std::thread::spawn(move || {
            publish(&mut writer, b"frame", 7);
            writer.pause(Duration::from_millis(20));
            writer.set_state(State::Lost("unplugged".to_owned()));
            writer.pause(Duration::from_millis(20));
            writer.set_state(State::Ended("over".to_owned()));
            writer
        });
        reader.take(LONG, |_| false).unwrap();
        assert_eq!(reader.front.bytes, b"frame");
        assert_eq!(
            reader.take(LONG, |_| false),
            Err(NoFrame::Gone("over".to_owned()))
        );
        let writer = thread.join().unwrap();
        assert!(!writer.is_stopped());
        reader.stop();
        assert!(writer.is_stopped());
        writer.pause(LONG);
    }

    #[test]
    fn the_same_picture_again_is_counted_and_a_changed_bit_is_not() {
        let (mut writer, reader) = newest_frame();
        let mut picture = vec![5; 1000];
        publish(&mut writer, &picture, 1);
        publish(&mut writer, &picture, 2);
        publish(&mut writer, &picture, 3);
        assert_eq!(reader.counts().repeated, 2);
        let fresh = reader.freshness();
        assert_eq!(
            (fresh.newest_us, fresh.repeated, fresh.repeated_us),
            (Some(3), 2, 2)
        );
        for at in [0, 500, 995, 999] {
            picture[at] ^= 1;
            publish(&mut writer, &picture, 4);
            assert_eq!(reader.counts().repeated, 0, "byte {at}");
        }
    }

    #[test]
    fn no_buffer_is_allocated_once_all_three_have_grown() {
        let (mut writer, mut reader) = newest_frame();
        let mut seen = std::collections::BTreeSet::new();
        for time_us in 0..50 {
            publish(&mut writer, &[time_us as u8; 4096], time_us);
            if time_us % 3 == 0 {
                reader.take(LONG, |_| false).unwrap();
            }
            if time_us > 10 {
                seen.insert(reader.front.bytes.as_ptr() as usize);
                seen.insert(writer.back.bytes.as_ptr() as usize);
            }
        }
        assert!(seen.len() <= 3, "{seen:?}");
    }
}
