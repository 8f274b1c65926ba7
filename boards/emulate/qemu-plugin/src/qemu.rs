//! What is used of QEMU's plugin interface (include/qemu/qemu-plugin.h). The emulator itself provides the functions.

use std::ffi::{c_int, c_uint, c_void};

pub type Id = u64;
/// A translated block; only QEMU knows what is in it.
#[repr(C)]
pub struct Block {
    _private: [u8; 0],
}
/// An instruction in a block.
#[repr(C)]
pub struct Instruction {
    _private: [u8; 0],
}

/// A callback that reads no registers.
pub const NO_REGISTERS: c_int = 0;
/// A callback for loads and stores.
pub const READ_AND_WRITE: c_int = 3;
/// Devices of a Cortex-M start here.
pub const DEVICES: u64 = 0x4000_0000;

unsafe extern "C" {
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: extern "C" fn(Id, *mut Block));
    pub fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    pub fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Instruction,
        callback: extern "C" fn(c_uint, u32, u64, *mut c_void),
        flags: c_int,
        which: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_mem_is_store(info: u32) -> bool;
}
