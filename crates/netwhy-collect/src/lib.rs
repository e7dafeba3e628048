//! Fills facts from the kernel: netlink, `/proc` and ioctl, never other programs.
//!
//! A [`Collector`] is opened once for a network namespace; its methods are named after the families of
//! `netwhy-facts` and live in the file of the same stem. Every method returns a
//! [`Reading`](netwhy_facts::Reading): a refusal, a missing feature and a failure stay apart. Nothing here
//! changes the system, loads a kernel module, sends a packet, or says what a value means.
#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the families that use the rest land next")]

pub mod address;
pub mod bpf;
mod collector;
pub mod conntrack;
pub mod container;
mod decode;
mod error;
pub mod event;
mod fields;
pub mod host;
pub mod ipset;
mod kernel;
pub mod link;
mod messages;
pub mod mib;
pub mod neigh;
pub mod nfqueue;
pub mod nft;
mod process;
#[cfg(test)]
mod recorded;
pub mod resolver;
pub mod route;
mod scope;
pub mod socket;
pub mod sysctl;
pub mod tc;
#[cfg(test)]
mod testing;
pub mod xtables;

pub use collector::Collector;
pub use error::CollectError;
pub use messages::{Heard, Listing};
pub use scope::Scope;
