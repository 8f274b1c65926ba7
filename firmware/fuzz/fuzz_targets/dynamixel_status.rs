//! Bytes from Dynamixel servos: nothing panics, and after silence a good status is found, whatever
//! came before it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wink_firmware::servo::dynamixel::parse;

mod status;

fuzz_target!(|bytes: &[u8]| {
    status::take_all(parse, bytes);
    let good = [
        0xff, 0xff, 0xfd, 0x00, 0x02, 0x08, 0x00, 0x55, 0x00, 0x1f, 0x08, 0x00, 0x00, 0xba, 0xbe,
    ];
    let followed = [bytes, &[0; 60], &good].concat();
    let (last, left) = status::take_all(parse, &followed);
    assert_eq!(left, 0);
    let last = last.expect("a status");
    assert_eq!(
        (last.id, last.error, last.data.as_slice()),
        (2, 0, &[0x1f, 8, 0, 0][..])
    );
});
