//! Bytes from a host: nothing panics, what is read can be written and read again, and a good line
//! is read whatever came before it. Lines that lack only their CRC are given one, so that the
//! fuzzer gets past it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wink_firmware::wire::{Command, HostMessage, HostReader, MAX_HOST_LINE, decode, encode_host};

mod seal;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = HostReader::new();
    reader.push(bytes, |_| ());
    for body in bytes.split(|byte| *byte == b'\n') {
        if let Ok(message) = decode::<HostMessage>(&seal::seal(body)) {
            let again = round_trip(&message);
            // Debug text, since NaN is not equal to itself; an infinity comes back as NaN.
            let text = format!("{message:?}")
                .replace("-inf", "NaN")
                .replace("inf", "NaN");
            assert_eq!(format!("{again:?}"), text);
        }
    }
    let mut line = [0; MAX_HOST_LINE];
    let good = HostMessage {
        seq: 4_000_000_001,
        command: Command::Hold,
    };
    let len = encode_host(&good, &mut line).expect("fits");
    let mut last = None;
    reader.push(&line[..len], |message| last = Some(message));
    assert_eq!(last, Some(Ok(good)));
});

fn round_trip(message: &HostMessage) -> HostMessage {
    let mut line = [0; MAX_HOST_LINE];
    let len = encode_host(message, &mut line).expect("fits");
    decode(&line[..len - 1]).expect("reads what it wrote")
}
