//! Judges facts; ranks root causes. Pure: no files, clocks, sockets or printing.
//!
//! One cause is one file under `causes/`: a condition, its doc comment (what `netwhy explain`
//! prints) and a `judge` function. The engine runs the judges and finds the root.
#![forbid(unsafe_code)]

pub mod arp;
pub mod bridging;
pub mod case;
pub mod cause;
pub mod causes;
pub mod disagree;
pub mod engine;
pub mod events;
pub mod evidence;
pub mod explain;
pub mod firewall;
pub mod fix;
mod http;
pub(crate) mod naming;
pub mod nat;
pub mod nexthop;
pub mod obstacle;
pub mod passed;
pub mod predict;
pub mod reasons;
pub mod report;
pub mod routing;
pub mod service;
pub mod target;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tls;
pub mod trial;
pub mod within;

pub use case::Case;
pub use cause::{Cause, Finding, Layer, Scope, Verdict};
pub use evidence::Evidence;
pub use fix::Fix;
pub use obstacle::{Direction, Obstacle, Sight, Way};
pub use report::Report;
