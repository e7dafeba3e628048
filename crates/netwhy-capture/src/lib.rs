//! Delivers frames from AF_PACKET sockets; builds kernel filters for one flow.
//!
//! ```text
//! FlowFilter {tuples, neighbours}  --program()-->  classic BPF  --kernel-->  Session  -->  Captured {frames}
//! ```
//!
//! [`FlowFilter`] says which packets belong to a question. [`Session::start`] puts the filter into the kernel
//! before the socket sees a packet and reads on a thread of its own; [`Session::stop`] hands over the frames and
//! what was lost. Nothing here is ever promiscuous, and nothing here judges a packet.
#![forbid(unsafe_code)]

pub mod filter;
mod frame;
mod session;

pub use filter::{FlowFilter, Tuple};
pub use frame::Frame;
pub use session::{CaptureError, Captured, Options, Session};
