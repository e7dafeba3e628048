//! Compiles a bpftrace-compatible probe language to eBPF, without I/O, clocks or a kernel.
//!
//! The result is a [`program::ProgramSpec`]; what the kernel knows comes in through [`types::Types`] and
//! [`types::Probes`], what it can do through [`features::Features`].
#![forbid(unsafe_code)]

pub mod features;
pub mod helpers;
pub mod insn;
mod listing;
pub mod program;
pub mod types;
