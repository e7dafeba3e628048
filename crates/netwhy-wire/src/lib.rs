//! Turns bytes into types and back, without I/O, clocks or panics.
#![forbid(unsafe_code)]

pub mod netlink;
pub mod packet;
