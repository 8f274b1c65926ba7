//! The wink image for the Raspberry Pi Pico: how the RP2040 starts, and its clock. All else is in `image`.

#![no_std]
#![no_main]

mod image;
mod uart;

use rp2040_hal as hal;

/// What the HAL makes of the crystal.
const CORE_MHZ: u32 = 125;

#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_GENERIC_03H;
