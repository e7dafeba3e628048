//! Predicts the path of a packet through this host from facts: XDP and tc, nftables and xtables programs,
//! connection tracking, NAT, policy rules, FIB, neighbours, socket lookup. Pure: no I/O.
//!
//! `predict` walks one packet; `forward` and `reply` walk the two directions of a question. What the facts leave
//! open is tried both ways: when the outcomes agree it becomes an assumption of the path, else the path ends in
//! `End::Insufficient` and names the point.
#![forbid(unsafe_code)]
// `Err(End)` ends the walk: it happens once, so its size does not matter.
#![allow(clippy::result_large_err)]

mod bits;
mod bridge;
mod conntrack;
mod device;
mod fib;
mod hooks;
mod nat;
mod nft;
mod oracle;
mod order;
pub mod packet;
pub mod path;
mod question;
mod routing;
mod skb;
mod sockets;
pub mod text;
mod walk;
mod world;
mod xt;

pub use fib::rule_text as policy_rule_text;
pub use packet::{CtHypothesis, Packet};
pub use path::{Action, End, Path, Stage, Step};
pub use question::{forward, keys_needed, predict, reply};
pub use text::{
    SetWriter, Style, element_text, limit_words, proto_name, proto_number, rule_spec, rule_text,
    rule_text_named, rule_text_styled, type_words, typeof_words, xt_address_text, xt_rule_text,
    xt_rule_text_with,
};
pub use walk::Origin;
