//! Bytes from Feetech servos: nothing panics, and after silence a good status is found, whatever came
//! before it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wink_firmware::servo::feetech::parse;

mod status;

fuzz_target!(|bytes: &[u8]| {
    status::take_all(parse, bytes);
    let good = [0xff, 0xff, 0x01, 0x04, 0x00, 0x18, 0x05, 0xdd];
    let followed = [bytes, &[0; 40], &good].concat();
    let (last, left) = status::take_all(parse, &followed);
    assert_eq!(left, 0);
    let last = last.expect("a status");
    assert_eq!(
        (last.id, last.error, last.data.as_slice()),
        (1, 0, &[0x18, 0x05][..])
    );
});
