//! Compiles a bpftrace-compatible probe language to eBPF, without I/O, clocks or a kernel.
//!
//! The result is a [`program::ProgramSpec`]; what the kernel knows comes in through [`types::Types`] and
//! [`types::Probes`], what it can do through [`features::Features`].
#![forbid(unsafe_code)]

pub mod asm;
pub mod ast;
mod codegen;
mod compile;
pub mod diag;
pub mod features;
pub mod helpers;
pub mod insn;
mod lexer;
mod listing;
pub mod parser;
pub mod passes;
pub mod program;
mod signals;
pub mod types;

pub use compile::{Compiled, Options, compile, set};
pub use passes::library::error_text;
