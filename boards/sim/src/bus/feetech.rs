//! Framing of the Feetech SCS/STS protocol: `FF FF id length instruction parameters… checksum`, where the check sum is the
//! complement of the sum of everything after the header ("Servo SCS Communication Protocol", Feetech).

use super::instruction::{Action, Framed, Instruction, sync_parts};

const HEADER: [u8; 2] = [0xff, 0xff];

pub(super) fn frame(bytes: &[u8]) -> Framed {
    let start = bytes.windows(2).position(|pair| pair == HEADER);
    match start {
        None => match bytes {
            [] | [0xff] => Framed::Incomplete,
            [.., 0xff] => Framed::Garbage(bytes.len() - 1),
            _ => Framed::Garbage(bytes.len()),
        },
        Some(0) => packet(bytes),
        Some(skipped) => Framed::Garbage(skipped),
    }
}

fn packet(bytes: &[u8]) -> Framed {
    let [_, _, id, length, ..] = *bytes else {
        return Framed::Incomplete;
    };
    // A third FF cannot be an id: the header starts one byte later.
    if id == 0xff || length < 2 {
        return Framed::Garbage(1);
    }
    let total = usize::from(length) + 4;
    if bytes.len() < total {
        return Framed::Incomplete;
    }
    if checksum(&bytes[2..total - 1]) != bytes[total - 1] {
        return Framed::Damaged(1);
    }
    let action = action(bytes[4], &bytes[5..total - 1]).unwrap_or(Action::Unknown);
    Framed::Packet(total, Instruction { id, action })
}

fn action(instruction: u8, parameters: &[u8]) -> Option<Action> {
    Some(match (instruction, parameters) {
        (0x01, []) => Action::Ping,
        (0x02, &[address, length]) => Action::Read {
            address: address.into(),
            length: length.into(),
        },
        (0x03, [address, data @ ..]) if !data.is_empty() => Action::Write {
            address: (*address).into(),
            data: data.to_vec(),
        },
        (0x04, [address, data @ ..]) if !data.is_empty() => Action::Register {
            address: (*address).into(),
            data: data.to_vec(),
        },
        (0x05, []) => Action::Execute,
        (0x08, []) => Action::Reboot,
        (0x82, [address, length, ids @ ..]) => Action::SyncRead {
            address: (*address).into(),
            length: (*length).into(),
            ids: ids.to_vec(),
        },
        (0x83, [address, length, rest @ ..]) => Action::SyncWrite {
            address: (*address).into(),
            parts: sync_parts(rest, (*length).into())?,
        },
        _ => return None,
    })
}

/// A status packet: `status` has one bit per complaint.
pub(super) fn status(id: u8, status: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xff, id, data.len() as u8 + 2, status];
    bytes.extend(data);
    bytes.push(checksum(&bytes[2..]));
    bytes
}

fn checksum(bytes: &[u8]) -> u8 {
    !bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: &[u8]) -> Instruction {
        match frame(bytes) {
            Framed::Packet(length, instruction) if length == bytes.len() => instruction,
            other => panic!("{bytes:02x?}: {other:?}"),
        }
    }

    /// The instruction frames of the manual, examples 1 to 8 and 13.
    #[test]
    fn the_manuals_instructions_are_understood() {
        let goal = vec![0x00, 0x08, 0x00, 0x00, 0xe8, 0x03];
        let cases: [(&[u8], u8, Action); 8] = [
            (&[0xff, 0xff, 0x01, 0x02, 0x01, 0xfb], 1, Action::Ping),
            (
                &[0xff, 0xff, 0x01, 0x04, 0x02, 0x38, 0x02, 0xbe],
                1,
                Action::Read {
                    address: 56,
                    length: 2,
                },
            ),
            (
                &[0xff, 0xff, 0xfe, 0x04, 0x03, 0x05, 0x01, 0xf4],
                0xfe,
                Action::Write {
                    address: 5,
                    data: vec![1],
                },
            ),
            (
                &[
                    0xff, 0xff, 0x01, 0x09, 0x03, 0x2a, 0x00, 0x08, 0x00, 0x00, 0xe8, 0x03, 0xd5,
                ],
                1,
                Action::Write {
                    address: 42,
                    data: goal.clone(),
                },
            ),
            (
                &[
                    0xff, 0xff, 0x0a, 0x09, 0x04, 0x2a, 0x00, 0x08, 0x00, 0x00, 0xe8, 0x03, 0xcb,
                ],
                10,
                Action::Register {
                    address: 42,
                    data: goal,
                },
            ),
            (&[0xff, 0xff, 0xfe, 0x02, 0x05, 0xfa], 0xfe, Action::Execute),
            (
                &[0xff, 0xff, 0xfe, 0x06, 0x82, 0x38, 0x08, 0x01, 0x02, 0x36],
                0xfe,
                Action::SyncRead {
                    address: 56,
                    length: 8,
                    ids: vec![1, 2],
                },
            ),
            (&[0xff, 0xff, 0x01, 0x02, 0x08, 0xf4], 1, Action::Reboot),
        ];
        for (bytes, id, action) in cases {
            assert_eq!(one(bytes), Instruction { id, action });
        }
    }

    #[test]
    fn the_manuals_sync_write_reaches_four_servos() {
        let bytes = [
            0xff, 0xff, 0xfe, 0x20, 0x83, 0x2a, 0x06, 0x01, 0x00, 0x08, 0x00, 0x00, 0xe8, 0x03,
            0x02, 0x00, 0x08, 0x00, 0x00, 0xe8, 0x03, 0x03, 0x00, 0x08, 0x00, 0x00, 0xe8, 0x03,
            0x04, 0x00, 0x08, 0x00, 0x00, 0xe8, 0x03, 0x58,
        ];
        let Action::SyncWrite { address, parts } = one(&bytes).action else {
            panic!("not a sync write");
        };
        assert_eq!(address, 42);
        let goal = vec![0x00, 0x08, 0x00, 0x00, 0xe8, 0x03];
        assert_eq!(parts, [1, 2, 3, 4].map(|id| (id, goal.clone())));
    }

    #[test]
    fn the_manuals_status_frames_are_sent() {
        assert_eq!(status(1, 0, &[]), [0xff, 0xff, 0x01, 0x02, 0x00, 0xfc]);
        assert_eq!(
            status(1, 0, &[0x18, 0x05]),
            [0xff, 0xff, 0x01, 0x04, 0x00, 0x18, 0x05, 0xdd]
        );
        assert_eq!(
            status(2, 0, &[0xff, 0x07, 0x00, 0x00, 0x00, 0x00, 0x77, 0x23]),
            [
                0xff, 0xff, 0x02, 0x0a, 0x00, 0xff, 0x07, 0x00, 0x00, 0x00, 0x00, 0x77, 0x23, 0x53
            ]
        );
    }

    #[test]
    fn what_is_no_packet_is_told_apart() {
        let cases: [(&[u8], Framed); 8] = [
            (&[], Framed::Incomplete),
            (&[0xff], Framed::Incomplete),
            (&[0x12, 0x34], Framed::Garbage(2)),
            (&[0x12, 0xff], Framed::Garbage(1)),
            (&[0x12, 0xff, 0xff], Framed::Garbage(1)),
            (&[0xff, 0xff, 0xff, 0x01], Framed::Garbage(1)),
            (&[0xff, 0xff, 0x01, 0x02, 0x01], Framed::Incomplete),
            (&[0xff, 0xff, 0x01, 0x02, 0x01, 0xfc], Framed::Damaged(1)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(frame(bytes), expected, "{bytes:02x?}");
        }
    }
}
