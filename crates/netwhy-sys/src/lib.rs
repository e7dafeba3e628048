//! Asks the kernel one thing safely; the only crate with `unsafe`.
//!
//! Every public function is safe, bounded by a deadline where it can wait, and fails with a [`SysError`]
//! that names the call, its object and the errno. Nothing here knows what an answer means. Sockets, devices
//! and legacy tables are those of the calling *thread's* network namespace.
//!
//! | module | one sentence |
//! |---|---|
//! | [`errno`] | error numbers by name |
//! | [`netlink`] | requests, dumps, batches and events over netlink |
//! | [`netns`] | naming, entering, listing and making network namespaces |
//! | [`isolate`] | starting a program in namespaces of its own or of another process |
//! | [`mount`] | mounts inside a mount namespace of one's own |
//! | [`socket`] | TCP, UDP, echo and raw sockets with the options and the error queue a probe needs |
//! | [`packet`] | frames as devices see them: a capture ring, and sending raw ones |
//! | [`passing`] | hands descriptors from process to process |
//! | [`filter`] | classic BPF programs on sockets |
//! | [`bpf`] | programs, maps and links, one's own and those others have attached |
//! | [`perf`] | clocks, software events and tracepoints that run a program |
//! | [`xtables`] | legacy tables of iptables, ip6tables, arptables and ebtables as raw entries |
//! | [`ethtool`] | what a device's driver says |
//! | [`ioctl`] | devices by name and number |
//! | [`procfs`] | `/proc` and `/sys`, or a copy of them, read with bounds |
//! | [`kmsg`] | the kernel's log, record by record |
//! | [`caps`] | the capabilities of this thread, and giving them up |
//! | [`process`] | other processes: signals, end, limits |
//! | [`signal`] | signals by name, as a flag, as a descriptor |
//! | [`terminal`] | the width of the screen |
//! | [`poll`] | waiting for many descriptors until a deadline |
//! | [`waker`] | ending another thread's wait |
//! | [`clock`] | what time it is, and what this program has cost |
#![allow(unsafe_code, reason = "this is the crate that may")]
#![deny(unsafe_op_in_unsafe_fn)]

mod address;
pub mod bpf;
pub mod caps;
pub mod child;
pub mod clock;
pub mod errno;
mod error;
pub mod ethtool;
mod fd;
pub mod filter;
pub mod ioctl;
pub mod isolate;
pub mod kmsg;
pub mod mount;
pub mod netlink;
pub mod netns;
pub mod packet;
pub mod passing;
pub mod perf;
pub mod poll;
pub mod process;
pub mod procfs;
pub mod signal;
pub mod socket;
pub mod syscalls;
pub mod terminal;
pub mod waker;
pub mod xtables;

#[cfg(test)]
mod testing;

pub use errno::Errno;
pub use error::{Result, SysError};
