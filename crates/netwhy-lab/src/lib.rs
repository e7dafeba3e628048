//! Breaks private network namespaces on purpose and scores the verdict.
//!
//! Nothing here touches the namespace the lab was started in, and nothing needs another program: networks
//! are built, broken and repaired over netlink, socket options and `/proc`.
#![forbid(unsafe_code)]

pub mod answer;
pub mod apply;
pub mod bpf;
pub mod case;
pub mod cases;
pub mod certificates;
mod error;
mod hidden;
mod lab;
pub mod net;
mod node;
pub mod probe;
pub mod record;
mod rootless;
pub mod run;
pub mod score;
mod serve;
mod settle;
mod topology;

pub use error::{LabError, Result};
pub use hidden::hidden_main;
pub use lab::{Lab, Service};
pub use node::{HIDDEN, Node};
pub use rootless::rootless;
pub use topology::Topology;
