//! The HAL's UARTs as the interrupts serve them.

use embedded_hal_nb::serial::{Read, Write};
use stm32f4xx_hal::serial::{Instance, Rx, RxListen, Serial, Tx, TxListen};
use wink_image::Uart;

/// Both halves of a UART, owned by its interrupt.
pub struct IrqUart<U: Instance> {
    tx: Tx<U>,
    rx: Rx<U>,
}

impl<U: Instance> IrqUart<U> {
    /// Interrupts from now on for every byte that arrives.
    pub fn new(serial: Serial<U>) -> Self {
        let (tx, mut rx) = serial.split();
        rx.listen();
        Self { tx, rx }
    }
}

impl<U: Instance> Uart for IrqUart<U> {
    fn read(&mut self) -> Option<u8> {
        // Reading takes a damaged byte's flags away, and whatever comes after it interrupts anew.
        self.rx.read().ok()
    }

    fn write(&mut self, byte: u8) -> bool {
        self.tx.write(byte).is_ok()
    }

    fn listen_for_room(&mut self, listen: bool) {
        if listen {
            self.tx.listen();
        } else {
            self.tx.unlisten();
        }
    }
}
