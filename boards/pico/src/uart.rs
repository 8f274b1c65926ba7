//! The HAL's UARTs as the interrupts serve them.

use embedded_hal_nb::serial::{Read, Write};
use wink_image::Uart;

use crate::hal::uart::{Enabled, UartDevice, UartPeripheral, ValidUartPinout};

/// Bytes that the receiver holds.
const FIFO: usize = 32;

/// A UART owned by its interrupt.
pub struct IrqUart<D: UartDevice, P: ValidUartPinout<D>>(UartPeripheral<Enabled, D, P>);

impl<D: UartDevice, P: ValidUartPinout<D>> IrqUart<D, P> {
    /// Interrupts from now on when bytes have arrived.
    pub fn new(mut uart: UartPeripheral<Enabled, D, P>) -> Self {
        uart.enable_rx_interrupt();
        Self(uart)
    }
}

impl<D: UartDevice, P: ValidUartPinout<D>> Uart for IrqUart<D, P> {
    fn read(&mut self) -> Option<u8> {
        // Damaged bytes are skipped.
        for _ in 0..FIFO {
            if !self.0.uart_is_readable() {
                break;
            }
            if let Ok(byte) = self.0.read() {
                return Some(byte);
            }
        }
        None
    }

    fn write(&mut self, byte: u8) -> bool {
        self.0.write(byte).is_ok()
    }

    fn listen_for_room(&mut self, listen: bool) {
        if listen {
            self.0.enable_tx_interrupt();
        } else {
            self.0.disable_tx_interrupt();
        }
    }
}
