//! Where JPEG pictures begin and end in a stream of bytes (section B of the JPEG standard).

const START: u8 = 0xd8;
const END: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// A marker's segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The byte behind 0xff.
    pub(crate) marker: u8,
    /// Where the 0xff is.
    pub(crate) at: usize,
}

/// The segments of a picture up to its first scan.
#[derive(Debug)]
pub(crate) struct Segments<'a> {
    bytes: &'a [u8],
    next: usize,
    done: bool,
}

impl<'a> Segments<'a> {
    /// `None` where the bytes do not begin like a picture.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.starts_with(&[0xff, START]).then_some(Self {
            bytes,
            next: 2,
            done: false,
        })
    }
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        if self.done {
            return None;
        }
        // Any number of 0xff may stand before a marker.
        let fill = self.bytes.get(self.next..)?.iter();
        let fill = fill.take_while(|&&byte| byte == 0xff).count();
        if fill == 0 {
            return None;
        }
        let at = self.next + fill - 1;
        let marker = *self.bytes.get(at + 1)?;
        self.done = marker == START_OF_SCAN || marker == END;
        if !self.done {
            let length = self.bytes.get(at + 2..at + 4)?;
            let length = u16::from_be_bytes([length[0], length[1]]);
            self.next = at + 2 + usize::from(length);
        }
        Some(Segment { marker, at })
    }
}

/// Cuts a stream into pictures.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    place: Place,
}

/// What the next byte is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// Nothing; a picture is looked for.
    #[default]
    Between,
    /// As `Between`, behind a 0xff.
    BetweenMarker,
    /// A marker's 0xff should come.
    Marker,
    /// Behind a marker's 0xff.
    MarkerCode,
    /// The first byte of a segment's length.
    LengthHigh { scan: bool },
    /// The second one.
    LengthLow { scan: bool, high: u8 },
    /// Bytes of a segment that are left.
    Segment { scan: bool, left: usize },
    /// Pixels.
    Scan,
    /// Pixels, behind a 0xff.
    ScanMarker,
}

impl Splitter {
    /// Moves bytes from `input` to `picture`, up to the end of a picture, and says how many bytes were used and whether the
    /// picture is whole. What stands between pictures is dropped; so is a picture whose markers are damaged.
    pub(crate) fn push(&mut self, input: &[u8], picture: &mut Vec<u8>) -> (usize, bool) {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            match self.place {
                // The two places with many bytes are copied piece by piece.
                Place::Segment { scan, left } => {
                    let count = left.min(rest.len());
                    picture.extend_from_slice(&rest[..count]);
                    used += count;
                    self.place = match (left - count, scan) {
                        (0, true) => Place::Scan,
                        (0, false) => Place::Marker,
                        (left, _) => Place::Segment { scan, left },
                    };
                }
                Place::Scan => {
                    let found = rest.iter().position(|&byte| byte == 0xff);
                    let count = found.map_or(rest.len(), |at| at + 1);
                    picture.extend_from_slice(&rest[..count]);
                    used += count;
                    if found.is_some() {
                        self.place = Place::ScanMarker;
                    }
                }
                place => {
                    used += 1;
                    self.place = step(place, rest[0], picture);
                    if place != Place::Between && self.place == Place::Between && is_whole(picture)
                    {
                        return (used, true);
                    }
                }
            }
        }
        (used, false)
    }
}

fn is_whole(picture: &[u8]) -> bool {
    picture.ends_with(&[0xff, END])
}

/// Takes one byte in a place where single bytes matter.
fn step(place: Place, byte: u8, picture: &mut Vec<u8>) -> Place {
    let damaged = |picture: &mut Vec<u8>| {
        picture.clear();
        if byte == 0xff {
            Place::BetweenMarker
        } else {
            Place::Between
        }
    };
    match place {
        Place::Between | Place::BetweenMarker => {
            if place == Place::BetweenMarker && byte == START {
                picture.clear();
                picture.extend([0xff, START]);
                return Place::Marker;
            }
            damaged(picture)
        }
        Place::Marker if byte != 0xff => damaged(picture),
        Place::Marker => {
            picture.push(byte);
            Place::MarkerCode
        }
        Place::MarkerCode | Place::ScanMarker => {
            picture.push(byte);
            match byte {
                0xff => place,
                END => Place::Between,
                // A stuffed 0xff, or a restart inside the pixels.
                0x00 | 0xd0..=0xd7 if place == Place::ScanMarker => Place::Scan,
                0x00..=0xbf | 0xd0..=0xd7 => damaged(picture),
                // The picture before was cut off.
                START => {
                    picture.clear();
                    picture.extend([0xff, START]);
                    Place::Marker
                }
                _ => Place::LengthHigh {
                    scan: byte == START_OF_SCAN,
                },
            }
        }
        Place::LengthHigh { scan } => {
            picture.push(byte);
            Place::LengthLow { scan, high: byte }
        }
        Place::LengthLow { scan, high } => {
            picture.push(byte);
            match usize::from(u16::from_be_bytes([high, byte])) {
                0 | 1 => damaged(picture),
                2 if scan => Place::Scan,
                2 => Place::Marker,
                length => Place::Segment {
                    scan,
                    left: length - 2,
                },
            }
        }
        Place::Segment { .. } | Place::Scan => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture as to its markers: a comment with an end marker inside, two scans, stuffed bytes, a restart.
    fn picture(seed: u8) -> Vec<u8> {
        let mut bytes = vec![0xff, START, 0xff, 0xfe, 0, 6, 0xff, END, seed, 1];
        bytes.extend([
            0xff,
            0xff,
            START_OF_SCAN,
            0,
            3,
            9,
            seed,
            0xff,
            0,
            7,
            0xff,
            0xd3,
            8,
        ]);
        bytes.extend([0xff, 0xc4, 0, 2, 0xff, START_OF_SCAN, 0, 2, 4, 5, 0xff, END]);
        bytes
    }

    fn split(stream: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let mut splitter = Splitter::default();
        let (mut pictures, mut current) = (Vec::new(), Vec::new());
        for mut input in stream.chunks(piece) {
            while !input.is_empty() {
                let (used, whole) = splitter.push(input, &mut current);
                input = &input[used..];
                if whole {
                    pictures.push(std::mem::take(&mut current));
                }
            }
        }
        pictures
    }

    #[test]
    fn pictures_are_cut_at_their_ends_however_the_bytes_arrive() {
        let stream = [picture(1), picture(2), picture(0xff), picture(4)].concat();
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(
                split(&stream, piece),
                [picture(1), picture(2), picture(0xff), picture(4)],
                "{piece}"
            );
        }
    }

    #[test]
    fn what_is_between_and_what_is_damaged_is_dropped() {
        let mut stream = b"--boundary\r\nContent-Type: image/jpeg\r\n\r\n".to_vec();
        stream.extend(picture(1));
        stream.extend([0, 0xff, 0xff, 0]);
        stream.extend(&picture(2)[..20]);
        stream.extend(picture(3));
        // No marker behind a segment.
        stream.extend([0xff, START, 0xff, 0xe0, 0, 2, 7, 7]);
        stream.extend([0xff, START, 0xff, 0xe0, 0, 1]);
        stream.extend(picture(5));
        for piece in [1, 5, 1000] {
            assert_eq!(
                split(&stream, piece),
                [picture(1), picture(3), picture(5)],
                "{piece}"
            );
        }
    }

    #[test]
    fn segments_end_at_the_first_scan_or_where_bytes_end() {
        let bytes = picture(1);
        let markers: Vec<u8> = Segments::new(&bytes).unwrap().map(|s| s.marker).collect();
        assert_eq!(markers, [0xfe, START_OF_SCAN]);
        for end in 2..12 {
            let found = Segments::new(&bytes[..end]).unwrap().count();
            assert!(found <= 1, "{end}");
        }
        assert!(Segments::new(b"\xff").is_none());
    }
}
