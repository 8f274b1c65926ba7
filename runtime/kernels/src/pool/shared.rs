//! What the caller and the workers of a pool share: the current job, and how its pieces are handed out and counted.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::sync::{AtomicBool, AtomicUsize, UnsafeCell, spin_loop, thread};
use super::ticket::Ticket;

/// Rounds of spinning before the processor is offered to others: with more threads than processors, the thread that is waited
/// for may need it.
const SPINS: u32 = if cfg!(loom) { 1 } else { 2000 };

/// A job: a function of the piece's number.
pub(super) type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// What a piece panicked with.
pub(super) type Panic = Box<dyn Any + Send>;

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Lone<T>(T);

pub(super) struct Shared {
    /// The current job: may be read by a thread that has claimed a piece of it.
    work: UnsafeCell<Option<*const Work<'static>>>,
    ticket: Lone<Ticket>,
    finished: Lone<AtomicUsize>,
    /// Callers that are in the middle of an inference.
    awake: Lone<AtomicUsize>,
    /// The first panic of the current job. The standard library's lock: it is taken only after a panic.
    panic: Mutex<Option<Panic>>,
    panicked: AtomicBool,
    closed: AtomicBool,
}

// SAFETY: `work` is written by one caller at a time, while no piece is unclaimed or unfinished; it is read between the claim of a
// piece and its end. What it points to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Default for Shared {
    fn default() -> Self {
        Self {
            work: UnsafeCell::new(None),
            ticket: Lone::default(),
            finished: Lone::default(),
            awake: Lone::default(),
            panic: Mutex::default(),
            panicked: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }
}

impl Shared {
    /// The caller's side: does pieces until none is left, waits for those of the workers, and returns the panic of one of them.
    ///
    /// # Safety
    /// Only one thread at a time may be in here.
    pub unsafe fn run(&self, pieces: usize, work: &Work<'_>) -> Result<(), Panic> {
        // SAFETY: only the lifetime changes. The pointer is followed while a piece is claimed and unfinished, and this function
        // does not return before all are finished.
        let work: *const Work<'static> = unsafe { std::mem::transmute(std::ptr::from_ref(work)) };
        // SAFETY: every piece of the job before was claimed and is finished, so no thread reads it.
        self.work.with_mut(|to| unsafe { *to = Some(work) });
        self.finished.0.store(0, Ordering::Relaxed);
        self.ticket.0.issue(pieces);
        while let Some(piece) = self.ticket.0.claim() {
            self.piece(piece);
        }
        let mut spins = 0;
        while self.finished.0.load(Ordering::Acquire) < pieces {
            wait(&mut spins);
        }
        if self.panicked.swap(false, Ordering::Relaxed)
            && let Some(panic) = super::lock(&self.panic).take()
        {
            return Err(panic);
        }
        Ok(())
    }

    /// A worker's life.
    pub fn serve(&self) {
        let mut spins = 0;
        while !self.closed.load(Ordering::Relaxed) {
            if self.awake.0.load(Ordering::SeqCst) == 0 {
                // The thread that raises `awake` or `closed` afterwards unparks.
                thread::park();
            } else if let Some(piece) = self.ticket.0.claim() {
                self.piece(piece);
                spins = 0;
            } else {
                wait(&mut spins);
            }
        }
    }

    /// Counts one more caller in the middle of an inference; whether the workers must be unparked.
    pub fn wake(&self) -> bool {
        self.awake.0.fetch_add(1, Ordering::SeqCst) == 0
    }

    /// Counts one caller less.
    pub fn rest(&self) {
        self.awake.0.fetch_sub(1, Ordering::SeqCst);
    }

    /// Lets the workers end. They must be unparked afterwards.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Does a piece that this thread has claimed.
    fn piece(&self, piece: usize) {
        // SAFETY: the claim saw the ticket that was issued after `work` was written, and the caller waits for this piece.
        let work = self.work.with(|work| unsafe { (*work).map(|work| &*work) });
        let done = catch_unwind(AssertUnwindSafe(|| work.map(|work| work(piece))));
        if let Err(panic) = done {
            super::lock(&self.panic).get_or_insert(panic);
            self.panicked.store(true, Ordering::Relaxed);
        }
        self.finished.0.fetch_add(1, Ordering::Release);
    }
}

fn wait(spins: &mut u32) {
    *spins += 1;
    if spins.is_multiple_of(SPINS) {
        thread::yield_now();
    } else {
        spin_loop();
    }
}
