//! Turns bytes into types and back, without I/O, clocks or panics.
#![forbid(unsafe_code)]

pub mod elf;
pub mod inet_diag;
pub mod netlink;
pub mod packet;
pub mod pcap;
pub mod tls;
pub mod xtables;
