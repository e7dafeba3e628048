//! Kernel events on the flow: drops with reason and place, resets, retransmissions, ICMP sent.
//! Delivered by the probe engine; until a build has it, the fact reads `Unsupported`.

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// Events of the window, filtered to the flow in the kernel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelEvents {
    /// Events in order.
    pub events: Vec<KernelEvent>,
    /// Events lost between kernel and reader.
    pub lost: u64,
}

impl Fact for KernelEvents {
    const KIND: &'static str = "kernel-events";
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum KernelEvent {
    /// skb:kfree_skb: reason by name (from BTF, never a fixed number) and the freeing function.
    Drop { at: u64, reason: String, location: String, dev: Option<u32> },
    /// tcp:tcp_send_reset with the kernel's reason.
    ResetSent { at: u64, reason: String },
    /// tcp:tcp_receive_reset.
    ResetReceived { at: u64 },
    /// tcp:tcp_retransmit_skb.
    Retransmit { at: u64, state: String },
    /// icmp:icmp_send.
    IcmpSent { at: u64, icmp_type: u8, code: u8 },
    /// sock:inet_sock_set_state.
    State { at: u64, from: String, to: String },
    /// neigh:neigh_update to FAILED.
    NeighFailed { at: u64, dev: Option<u32> },
}
