//! A pipe of bytes to the firmware: a serial port, a socket, or a simulated wire.

/// Why bytes could not be moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The other end is gone.
    #[error("the link to the arm is closed: is the board plugged in and powered?")]
    Closed,
    /// The operating system refused.
    #[error("the link to the arm failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Moves bytes to and from the firmware. Neither end is trusted to keep lines whole.
pub trait Link {
    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// When the pipe is closed or broken; how much was sent is then unknown.
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError>;

    /// Takes what has arrived, without waiting: the number of bytes put at the start of `buffer`, 0
    /// where nothing has.
    ///
    /// # Errors
    /// When the pipe is closed or broken.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError>;
}
