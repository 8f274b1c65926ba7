//! What a board asks of servos, whatever the protocol.

/// Every servo on the bus.
pub(super) const BROADCAST: u8 = 0xfe;

/// One good packet from the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instruction {
    pub id: u8,
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Ping,
    Read {
        address: usize,
        length: usize,
    },
    Write {
        address: usize,
        data: Vec<u8>,
    },
    /// A write that waits for [`Action::Execute`].
    Register {
        address: usize,
        data: Vec<u8>,
    },
    Execute,
    Reboot,
    SyncRead {
        address: usize,
        length: usize,
        ids: Vec<u8>,
    },
    SyncWrite {
        address: usize,
        parts: Vec<(u8, Vec<u8>)>,
    },
    /// A good packet that no servo here understands.
    Unknown,
}

/// What the front of the received bytes is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framed {
    /// The start of a packet, perhaps.
    Incomplete,
    /// So many bytes that belong to no packet.
    Garbage(usize),
    /// So many bytes that would be a packet but for their check sum.
    Damaged(usize),
    /// A packet of so many bytes.
    Packet(usize, Instruction),
}

/// Splits what follows the address and length of a sync write: an id and `length` bytes for each servo.
pub(super) fn sync_parts(rest: &[u8], length: usize) -> Option<Vec<(u8, Vec<u8>)>> {
    let chunks = rest.chunks_exact(length + 1);
    if length == 0 || !chunks.remainder().is_empty() {
        return None;
    }
    Some(chunks.map(|part| (part[0], part[1..].to_vec())).collect())
}
