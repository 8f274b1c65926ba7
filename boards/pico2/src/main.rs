//! The wink image for the Raspberry Pi Pico 2: how the RP2350 starts, and its clock. All else is the Pico's.

#![no_std]
#![no_main]

#[path = "../../pico/src/image.rs"]
mod image;
#[path = "../../pico/src/uart.rs"]
mod uart;

use rp235x_hal as hal;
use rp235x_hal::block::ImageDef;

/// What the HAL makes of the crystal.
const CORE_MHZ: u32 = 150;

/// Tells the boot ROM how to start this image.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE_DEF: ImageDef = ImageDef::secure_exe();
