//! Framing of Dynamixel protocol 2.0: `FF FF FD 00 id length instruction parameters… crc`, length and crc of two bytes, low
//! byte first. Where instruction and parameters hold `FF FF FD`, another `FD` is stuffed in (ROBOTIS e-manual, "DYNAMIXEL
//! Protocol 2.0").

use super::instruction::{Action, Framed, Instruction, sync_parts};

const HEADER: [u8; 4] = [0xff, 0xff, 0xfd, 0x00];
/// No packet of an arm is longer; a length that says so is garbage.
const MOST_BYTES: usize = 1024;

pub(super) fn frame(bytes: &[u8]) -> Framed {
    for start in 0..bytes.len() {
        let rest = &bytes[start..];
        let same = rest.iter().zip(&HEADER).take_while(|(a, b)| a == b).count();
        if same == HEADER.len() || same == rest.len() {
            return if start == 0 {
                packet(bytes)
            } else {
                Framed::Garbage(start)
            };
        }
    }
    if bytes.is_empty() {
        Framed::Incomplete
    } else {
        Framed::Garbage(bytes.len())
    }
}

fn packet(bytes: &[u8]) -> Framed {
    let [_, _, _, _, id, low, high, ..] = *bytes else {
        return Framed::Incomplete;
    };
    let length = usize::from(u16::from_le_bytes([low, high]));
    let total = length + 7;
    if length < 3 || total > MOST_BYTES {
        return Framed::Garbage(1);
    }
    if bytes.len() < total {
        return Framed::Incomplete;
    }
    let crc = u16::from_le_bytes([bytes[total - 2], bytes[total - 1]]);
    if crc16(&bytes[..total - 2]) != crc {
        return Framed::Damaged(1);
    }
    let body = unstuff(&bytes[7..total - 2]);
    let action = body
        .split_first()
        .and_then(|(instruction, parameters)| action(*instruction, parameters))
        .unwrap_or(Action::Unknown);
    Framed::Packet(total, Instruction { id, action })
}

fn action(instruction: u8, parameters: &[u8]) -> Option<Action> {
    let word = |low: u8, high: u8| usize::from(u16::from_le_bytes([low, high]));
    Some(match (instruction, parameters) {
        (0x01, []) => Action::Ping,
        (0x02, &[low, high, length_low, length_high]) => Action::Read {
            address: word(low, high),
            length: word(length_low, length_high),
        },
        (0x03, [low, high, data @ ..]) if !data.is_empty() => Action::Write {
            address: word(*low, *high),
            data: data.to_vec(),
        },
        (0x04, [low, high, data @ ..]) if !data.is_empty() => Action::Register {
            address: word(*low, *high),
            data: data.to_vec(),
        },
        (0x05, []) => Action::Execute,
        (0x08, []) => Action::Reboot,
        (0x82, [low, high, length_low, length_high, ids @ ..]) => Action::SyncRead {
            address: word(*low, *high),
            length: word(*length_low, *length_high),
            ids: ids.to_vec(),
        },
        (0x83, [low, high, length_low, length_high, rest @ ..]) => Action::SyncWrite {
            address: word(*low, *high),
            parts: sync_parts(rest, word(*length_low, *length_high))?,
        },
        _ => return None,
    })
}

/// A status packet: `error` is the number of what was wrong with the instruction, with the alert bit above it.
pub(super) fn status(id: u8, error: u8, data: &[u8]) -> Vec<u8> {
    let mut body = vec![0x55, error];
    body.extend(data);
    let body = stuff(&body);
    let mut bytes = HEADER.to_vec();
    bytes.push(id);
    bytes.extend((body.len() as u16 + 2).to_le_bytes());
    bytes.extend(body);
    let crc = crc16(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

fn stuff(body: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = vec![];
    for byte in body {
        out.push(*byte);
        if out.ends_with(&[0xff, 0xff, 0xfd]) {
            out.push(0xfd);
        }
    }
    out
}

fn unstuff(body: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = vec![];
    let mut stuffed = false;
    for byte in body {
        if !std::mem::take(&mut stuffed) {
            out.push(*byte);
            stuffed = out.ends_with(&[0xff, 0xff, 0xfd]);
        }
    }
    out
}

/// CRC-16 with polynomial 0x8005, not reflected, starting at 0 ("BUYPASS"), bit by bit.
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 }
        })
    })
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

    /// The e-manual's examples for ping, read, write, reg write, action, reboot, sync read and sync write.
    #[test]
    fn the_manuals_instructions_are_understood() {
        let cases: [(&[u8], u8, Action); 8] = [
            (
                &[0xff, 0xff, 0xfd, 0x00, 0x01, 0x03, 0x00, 0x01, 0x19, 0x4e],
                1,
                Action::Ping,
            ),
            (
                &[
                    0xff, 0xff, 0xfd, 0x00, 0x01, 0x07, 0x00, 0x02, 0x84, 0x00, 0x04, 0x00, 0x1d,
                    0x15,
                ],
                1,
                Action::Read {
                    address: 132,
                    length: 4,
                },
            ),
            (
                &[
                    0xff, 0xff, 0xfd, 0x00, 0x01, 0x09, 0x00, 0x03, 0x74, 0x00, 0x00, 0x02, 0x00,
                    0x00, 0xca, 0x89,
                ],
                1,
                Action::Write {
                    address: 116,
                    data: vec![0, 2, 0, 0],
                },
            ),
            (
                &[
                    0xff, 0xff, 0xfd, 0x00, 0x01, 0x09, 0x00, 0x04, 0x68, 0x00, 0xc8, 0x00, 0x00,
                    0x00, 0xae, 0x8e,
                ],
                1,
                Action::Register {
                    address: 104,
                    data: vec![200, 0, 0, 0],
                },
            ),
            (
                &[0xff, 0xff, 0xfd, 0x00, 0x01, 0x03, 0x00, 0x05, 0x02, 0xce],
                1,
                Action::Execute,
            ),
            (
                &[0xff, 0xff, 0xfd, 0x00, 0x01, 0x03, 0x00, 0x08, 0x2f, 0x4e],
                1,
                Action::Reboot,
            ),
            (
                &[
                    0xff, 0xff, 0xfd, 0x00, 0xfe, 0x09, 0x00, 0x82, 0x84, 0x00, 0x04, 0x00, 0x01,
                    0x02, 0xce, 0xfa,
                ],
                0xfe,
                Action::SyncRead {
                    address: 132,
                    length: 4,
                    ids: vec![1, 2],
                },
            ),
            (
                &[
                    0xff, 0xff, 0xfd, 0x00, 0xfe, 0x11, 0x00, 0x83, 0x74, 0x00, 0x04, 0x00, 0x01,
                    0x96, 0x00, 0x00, 0x00, 0x02, 0xaa, 0x00, 0x00, 0x00, 0x82, 0x87,
                ],
                0xfe,
                Action::SyncWrite {
                    address: 116,
                    parts: vec![(1, vec![150, 0, 0, 0]), (2, vec![170, 0, 0, 0])],
                },
            ),
        ];
        for (bytes, id, action) in cases {
            assert_eq!(one(bytes), Instruction { id, action });
        }
    }

    #[test]
    fn the_manuals_status_packets_are_sent() {
        assert_eq!(
            status(1, 0, &[0x06, 0x04, 0x26]),
            [
                0xff, 0xff, 0xfd, 0x00, 0x01, 0x07, 0x00, 0x55, 0x00, 0x06, 0x04, 0x26, 0x65, 0x5d
            ]
        );
        assert_eq!(
            status(1, 0, &[]),
            [
                0xff, 0xff, 0xfd, 0x00, 0x01, 0x04, 0x00, 0x55, 0x00, 0xa1, 0x0c
            ]
        );
        assert_eq!(
            status(2, 0, &[0x1f, 0x08, 0x00, 0x00]),
            [
                0xff, 0xff, 0xfd, 0x00, 0x02, 0x08, 0x00, 0x55, 0x00, 0x1f, 0x08, 0x00, 0x00, 0xba,
                0xbe
            ]
        );
    }

    #[test]
    fn a_header_inside_of_a_packet_is_stuffed() {
        let data = [0xff, 0xff, 0xfd, 0xff, 0xff, 0xfd, 0xfd];
        let bytes = status(1, 0, &data);
        assert_eq!(
            bytes[9..bytes.len() - 2],
            [0xff, 0xff, 0xfd, 0xfd, 0xff, 0xff, 0xfd, 0xfd, 0xfd]
        );
        assert_eq!(unstuff(&stuff(&data)), data);
    }

    #[test]
    fn what_is_no_packet_is_told_apart() {
        let cases: [(&[u8], Framed); 7] = [
            (&[], Framed::Incomplete),
            (&[0xff, 0xff], Framed::Incomplete),
            (&[1, 2, 3], Framed::Garbage(3)),
            (&[1, 0xff, 0xff, 0xfd], Framed::Garbage(1)),
            (&[0xff, 0xff, 0xff, 0xfd, 0x00], Framed::Garbage(1)),
            (&[0xff, 0xff, 0xfd, 0x00, 1, 0, 0], Framed::Garbage(1)),
            (
                &[0xff, 0xff, 0xfd, 0x00, 0x01, 0x03, 0x00, 0x01, 0x19, 0x4f],
                Framed::Damaged(1),
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(frame(bytes), expected, "{bytes:02x?}");
        }
    }
}
