//! What holds for the status parsers of both protocols.

use wink_firmware::servo::serial::{Parsed, Status};

/// Takes everything off the front of `bytes` that `parse` knows what to do with: nothing panics, and
/// every step makes progress within what is there. Returns the last packet and what is left.
pub fn take_all(parse: fn(&[u8]) -> Parsed, mut bytes: &[u8]) -> (Option<Status>, usize) {
    let mut last = None;
    loop {
        match parse(bytes) {
            Parsed::Incomplete => return (last, bytes.len()),
            Parsed::Garbage(count) | Parsed::Damaged(count) => {
                assert!(
                    (1..=bytes.len()).contains(&count),
                    "{count} of {}",
                    bytes.len()
                );
                bytes = &bytes[count..];
            }
            Parsed::Packet(count, status) => {
                assert!(
                    (1..=bytes.len()).contains(&count),
                    "{count} of {}",
                    bytes.len()
                );
                bytes = &bytes[count..];
                last = Some(status);
            }
        }
    }
}
