//! A TCG plugin for QEMU that keeps a board's time and the world's together.
//!
//! With `-icount` the guest's time is its instructions. But the other ends of its UARTs are in another process, and while that
//! one reads, thinks, answers or waits for a processor, the guest polls on and its time runs away: a servo would seem to
//! answer late on a busy machine. So whenever the guest has sent something on the servo bus and then looks at its clock, the
//! plugin stops it until the harness says that it has dealt with every byte; and while bytes are on their way into the guest
//! it slows it down. Time then depends on the guest's instructions alone, as it does on a board.
//!
//! Arguments: `harness=HOST:PORT` (where the harness listens), `servo=ADDR`, `host=ADDR` (the UARTs' data registers)
//! and `clock=ADDR` (the counter that the guest reads its time from), in hexadecimal.

mod fence;
mod qemu;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Mutex;
use std::sync::OnceLock;

use fence::Fence;

static FENCE: OnceLock<Mutex<Fence>> = OnceLock::new();

/// The version of QEMU's plugin interface that this was written against.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 1;

/// Called once by QEMU.
///
/// # Safety
/// `argv` must hold `argc` C strings, as QEMU's does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: qemu::Id,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let count = usize::try_from(argc).unwrap_or_default();
    let arguments = (0..count).map(|index| {
        // SAFETY: `argv` holds `argc` strings (see above).
        let argument = unsafe { CStr::from_ptr(*argv.add(index)) };
        argument.to_string_lossy().into_owned()
    });
    match Fence::connect(arguments) {
        Ok(fence) => {
            if FENCE.set(Mutex::new(fence)).is_err() {
                return 1;
            }
            // SAFETY: `id` is ours, and the callback has the signature that QEMU wants.
            unsafe { qemu::qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate) };
            0
        }
        Err(why) => {
            eprintln!("wink-qemu-plugin: {why}");
            1
        }
    }
}

/// Asks to be told of every access of every instruction that is translated.
extern "C" fn on_translate(_id: qemu::Id, block: *mut qemu::Block) {
    // SAFETY: QEMU hands over a block that is valid during this call, and indices stay below its count.
    unsafe {
        for index in 0..qemu::qemu_plugin_tb_n_insns(block) {
            let instruction = qemu::qemu_plugin_tb_get_insn(block, index);
            qemu::qemu_plugin_register_vcpu_mem_cb(
                instruction,
                on_access,
                qemu::NO_REGISTERS,
                qemu::READ_AND_WRITE,
                std::ptr::null_mut(),
            );
        }
    }
}

extern "C" fn on_access(_cpu: u32, info: u32, address: u64, _data: *mut c_void) {
    // Code and RAM are most of all accesses; only devices are of interest.
    if address < qemu::DEVICES {
        return;
    }
    if let Some(Ok(mut fence)) = FENCE.get().map(Mutex::lock) {
        // SAFETY: `info` came from QEMU with this very call.
        let store = unsafe { qemu::qemu_plugin_mem_is_store(info) };
        fence.accessed(address, store);
    }
}
