//! The ends of a board that is one thing: a simulated world has one state behind its camera, its wire and its time.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use super::{Board, NamedCamera, Rig};
use crate::arm::{Link, LinkError};
use crate::camera::{Camera, CameraError, FRONT_CAMERA, Frame, Freshness};
use crate::clock::Clock;

/// A handle to a board. Each of its uses borrows the board for one call.
pub struct Shared<B: ?Sized>(Rc<RefCell<B>>);

impl<B: ?Sized> Clone for Shared<B> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<B> Shared<B> {
    /// Shares a board.
    pub fn new(board: B) -> Self {
        Self(Rc::new(RefCell::new(board)))
    }
}

impl<B: ?Sized> From<Rc<RefCell<B>>> for Shared<B> {
    fn from(board: Rc<RefCell<B>>) -> Self {
        Self(board)
    }
}

impl<B: ?Sized> Shared<B> {
    /// The board, between two calls of a session that drives it.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, B> {
        self.0.borrow()
    }

    /// The board, to be changed.
    #[must_use]
    pub fn borrow_mut(&self) -> RefMut<'_, B> {
        self.0.borrow_mut()
    }
}

impl<B: Board + ?Sized + 'static> Shared<B> {
    /// Its camera, link and clock; more handles may be kept.
    #[must_use]
    pub fn rig(&self) -> Rig {
        Rig {
            cameras: vec![NamedCamera {
                name: FRONT_CAMERA.into(),
                camera: Box::new(self.clone()),
            }],
            link: Box::new(self.clone()),
            clock: Box::new(self.clone()),
        }
    }
}

impl<B: Board + ?Sized> Camera for Shared<B> {
    fn capture(&mut self, frame: &mut Frame) -> Result<(), CameraError> {
        self.0.borrow_mut().capture(frame)
    }

    fn freshness(&self) -> Freshness {
        self.0.borrow().freshness()
    }
}

impl<B: Board + ?Sized> Link for Shared<B> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.0.borrow_mut().write(bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        self.0.borrow_mut().read(buffer)
    }
}

impl<B: Board + ?Sized> Clock for Shared<B> {
    fn now_us(&self) -> u64 {
        self.0.borrow().now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.0.borrow_mut().sleep_until(time_us);
    }

    fn step_us(&self) -> u64 {
        self.0.borrow().step_us()
    }
}
