//! What this board has and no crate describes: interrupt numbers, UARTs, the watchdog.
//!
//! Facts: Arm DDI 0479 (Cortex-M System Design Kit), DAI 0385 and 0386 (the FPGA images of the MPS2).

use core::ptr;

use cortex_m::interrupt::InterruptNumber;
// As in a crate made from a chip's description: the attribute looks for the enum by its own name.
pub use Interrupt as interrupt;
pub use cortex_m_rt::interrupt;
use wink_image::Uart;

/// Clock of the processor and of all peripherals.
pub const CORE_MHZ: u32 = 25;

/// The interrupts in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types)]
#[repr(u16)]
pub enum Interrupt {
    UART0_RX = 0,
    UART0_TX = 1,
    UART1_RX = 2,
    UART1_TX = 3,
}

// SAFETY: the numbers are those of the board, and no two are the same.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// An entry of the vector table.
#[repr(C)]
pub union Vector {
    handler: unsafe extern "C" fn(),
    reserved: usize,
}

unsafe extern "C" {
    fn UART0_RX();
    fn UART0_TX();
    fn UART1_RX();
    fn UART1_TX();
}

/// The board's part of the vector table.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
pub static __INTERRUPTS: [Vector; 4] = [
    Vector { handler: UART0_RX },
    Vector { handler: UART0_TX },
    Vector { handler: UART1_RX },
    Vector { handler: UART1_TX },
];

/// Registers of a peripheral at a fixed address.
#[derive(Debug, Clone, Copy)]
struct Registers(usize);

impl Registers {
    fn read(self, offset: usize) -> u32 {
        // SAFETY: the address is that of a register of this board (see the addresses below), which may always be read.
        unsafe { ptr::read_volatile((self.0 + offset) as *const u32) }
    }

    fn write(self, offset: usize, value: u32) {
        // SAFETY: as above; what is written changes nothing but the peripheral.
        unsafe { ptr::write_volatile((self.0 + offset) as *mut u32, value) }
    }
}

const DATA: usize = 0x00;
const STATE: usize = 0x04;
const CONTROL: usize = 0x08;
const INTERRUPTS: usize = 0x0c;
const DIVIDER: usize = 0x10;

const TX_FULL: u32 = 1;
const RX_FULL: u32 = 1 << 1;
const TX_ON: u32 = 1;
const RX_ON: u32 = 1 << 1;
const TX_INTERRUPT: u32 = 1 << 2;
const RX_INTERRUPT: u32 = 1 << 3;
/// Both bits of the interrupt register; writing ones takes them away.
const SEEN: u32 = 0b11;

/// A CMSDK UART: one byte either way, no FIFO.
#[derive(Debug)]
pub struct CmsdkUart(Registers);

impl CmsdkUart {
    /// The UART to the host.
    pub const HOST: Self = Self(Registers(0x4000_4000));
    /// The UART to the servos.
    pub const SERVO: Self = Self(Registers(0x4000_5000));

    /// Switches it on; it interrupts from now on for every byte that arrives.
    pub fn start(&self, baud: u32) {
        self.0.write(DIVIDER, CORE_MHZ * 1_000_000 / baud);
        self.0.write(CONTROL, TX_ON | RX_ON | RX_INTERRUPT);
    }

    /// To be said at the start of an interrupt, before anything is read.
    pub fn acknowledge(&self) {
        self.0.write(INTERRUPTS, SEEN);
    }
}

impl Uart for CmsdkUart {
    fn read(&mut self) -> Option<u8> {
        (self.0.read(STATE) & RX_FULL != 0).then(|| self.0.read(DATA) as u8)
    }

    fn write(&mut self, byte: u8) -> bool {
        let room = self.0.read(STATE) & TX_FULL == 0;
        if room {
            self.0.write(DATA, byte.into());
        }
        room
    }

    fn listen_for_room(&mut self, listen: bool) {
        let on = TX_ON | RX_ON | RX_INTERRUPT;
        let on = if listen { on | TX_INTERRUPT } else { on };
        self.0.write(CONTROL, on);
    }
}

/// The CMSDK watchdog: it interrupts when its time is up for the first time, and resets the board at the second.
#[derive(Debug)]
pub struct Watchdog(Registers);

impl Watchdog {
    const ADDRESS: usize = 0x4000_8000;
    const LOAD: usize = 0x00;
    const CONTROL: usize = 0x08;
    const CLEAR: usize = 0x0c;
    const LOCK: usize = 0xc00;
    const UNLOCKED: u32 = 0x1acc_e551;
    /// Count and reset.
    const ON: u32 = 0b11;

    /// Starts it: the board starts anew when it was not fed for `time_ms`.
    pub fn start(time_ms: u32) -> Self {
        let registers = Registers(Self::ADDRESS);
        registers.write(Self::LOCK, Self::UNLOCKED);
        registers.write(Self::LOAD, CORE_MHZ * 1_000 * time_ms / 2);
        registers.write(Self::CONTROL, Self::ON);
        Self(registers)
    }

    /// Starts its time anew.
    pub fn feed(&self) {
        self.0.write(Self::CLEAR, 1);
    }
}
