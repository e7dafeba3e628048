//! Programs that listen on netfilter queues. Source: /proc/net/netfilter/nfnetlink_queue. Scope: namespace. Needs root to read.

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// Queues with a listener; a queue that is not here has none, and a packet sent to it is dropped (unless the rule bypasses).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NfQueues(pub Vec<NfQueue>);

impl Fact for NfQueues {
    const KIND: &'static str = "nfqueues";
}

/// One queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NfQueue {
    /// Number of the queue.
    pub queue: u16,
    /// Netlink port of the listener, usually its process id.
    pub portid: u32,
    /// Packets that wait for a verdict, gauge.
    pub waiting: u32,
    /// Packets dropped because the queue was full, counter.
    pub queue_dropped: u64,
    /// Packets dropped because the listener's socket buffer was full, counter.
    pub user_dropped: u64,
}
