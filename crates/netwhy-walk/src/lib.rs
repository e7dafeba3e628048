//! Predicts the path of a packet through this host from facts: XDP and tc, nftables and xtables programs,
//! connection tracking, NAT, policy rules, FIB, neighbours, socket lookup. Pure: no I/O.
#![forbid(unsafe_code)]

pub mod packet;
pub mod path;

pub use packet::{CtHypothesis, Packet};
pub use path::{Action, End, Path, Stage, Step};
