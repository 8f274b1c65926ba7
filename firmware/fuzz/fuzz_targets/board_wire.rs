//! Bytes from a board: nothing panics, and what is read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wink_firmware::wire::{BoardMessage, BoardReader, MAX_LINE, decode, encode_board};

mod seal;

fuzz_target!(|bytes: &[u8]| {
    BoardReader::new().push(bytes, |_| ());
    for body in bytes.split(|byte| *byte == b'\n') {
        if let Ok(message) = decode::<BoardMessage>(&seal::seal(body)) {
            let mut line = [0; MAX_LINE];
            let len = encode_board(&message, &mut line).expect("fits");
            let again: BoardMessage = decode(&line[..len - 1]).expect("reads what it wrote");
            let text = format!("{message:?}")
                .replace("-inf", "NaN")
                .replace("inf", "NaN");
            assert_eq!(format!("{again:?}"), text);
        }
    }
});
