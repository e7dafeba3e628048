//! Sockets that concern the question, with queues, tcp_info, memory and owners.
//! Sources: sock_diag (INET_DIAG), /proc/PID/fd for owners.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::{Family, Proto};
use crate::reading::Reading;
use crate::store::Fact;

/// Sockets on the flow's ports: listeners and bound UDP sockets of the destination port when it is local, connections of the tuple.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sockets {
    /// Sockets of the namespace in question.
    pub sockets: Vec<Socket>,
    /// Counts by tuple pressure: sockets with the flow's destination tuple, by state word (ESTAB, TIME-WAIT …); for port exhaustion.
    pub to_target: std::collections::BTreeMap<String, u32>,
}

impl Fact for Sockets {
    const KIND: &'static str = "sockets";
}

/// Listeners on the target's port in other namespaces of this machine, where they could be read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ForeignSockets(pub Vec<Socket>);

impl Fact for ForeignSockets {
    const KIND: &'static str = "foreign-sockets";
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Socket {
    /// Transport.
    pub proto: Proto,
    /// Family of the socket (an Inet6 socket may serve IPv4 when not v6only).
    pub family: Family,
    /// Local address; unspecified for a wildcard.
    pub local: IpAddr,
    /// Local port.
    pub lport: u16,
    /// Remote address; unspecified when not connected.
    pub remote: IpAddr,
    /// Remote port; 0 when not connected.
    pub rport: u16,
    /// State: LISTEN, ESTAB, SYN-SENT, SYN-RECV, TIME-WAIT, CLOSE-WAIT, UNCONN …
    pub state: String,
    /// Device the socket is bound to (SO_BINDTODEVICE), 0 for none.
    pub ifindex: u32,
    /// Inode; 0 for sockets without a process.
    pub inode: u64,
    /// Owner's user id.
    pub uid: u32,
    /// Kernel cookie.
    pub cookie: u64,
    /// Receive queue: bytes, or for LISTEN connections waiting for accept().
    pub rqueue: u32,
    /// Send queue: bytes, or for LISTEN the backlog limit.
    pub wqueue: u32,
    /// IPv6 only (INET_DIAG_SKV6ONLY).
    pub v6only: Option<bool>,
    /// Mark (needs CAP_NET_ADMIN).
    pub mark: Option<u32>,
    /// Cgroup id (INET_DIAG_CGROUP_ID).
    pub cgroup_id: Option<u64>,
    /// Shutdown bits: 1 receive, 2 send.
    pub shutdown: Option<u8>,
    /// Congestion control.
    pub congestion: Option<String>,
    /// Memory (INET_DIAG_SKMEMINFO).
    pub mem: Option<SkMem>,
    /// tcp_info, for TCP other than LISTEN.
    pub tcp: Option<Box<TcpInfo>>,
    /// A classic or extended BPF filter is attached (known only for packet sockets and where the kernel tells).
    pub filter: Option<bool>,
    /// Processes that hold it.
    pub owners: Reading<Vec<Owner>>,
    /// Namespace: inode of nsfs; 0 for the one in question.
    pub netns: u64,
}

impl Socket {
    /// Whether it is bound to every address.
    pub fn is_wildcard(&self) -> bool {
        self.local.is_unspecified()
    }
    /// `ADDR:PORT` of the local end.
    pub fn local_text(&self) -> String {
        std::net::SocketAddr::new(self.local, self.lport).to_string()
    }
}

/// A process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// Command name (/proc/PID/comm), raw; escape when shown.
    pub comm: String,
    /// Descriptor.
    pub fd: u32,
}

/// Socket memory in bytes (SK_MEMINFO_*).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SkMem {
    pub rmem_alloc: u32,
    pub rcvbuf: u32,
    pub wmem_alloc: u32,
    pub sndbuf: u32,
    pub fwd_alloc: u32,
    pub wmem_queued: u32,
    pub optmem: u32,
    pub backlog: u32,
    /// Packets dropped by this socket, counter.
    pub drops: u32,
}

/// The part of struct tcp_info that judgements use; times in microseconds, sizes in bytes. `None`: this kernel's structure is shorter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TcpInfo {
    pub state: u8,
    pub ca_state: u8,
    pub retransmits: u8,
    pub probes: u8,
    pub backoff: u8,
    pub options: u8,
    pub snd_wscale: u8,
    pub rcv_wscale: u8,
    pub rto_us: u32,
    pub ato_us: u32,
    pub snd_mss: u32,
    pub rcv_mss: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    pub retrans: u32,
    pub last_data_sent_ms: u32,
    pub last_data_recv_ms: u32,
    pub last_ack_recv_ms: u32,
    pub pmtu: u32,
    pub rcv_ssthresh: u32,
    pub rtt_us: u32,
    pub rttvar_us: u32,
    pub snd_ssthresh: u32,
    pub snd_cwnd: u32,
    pub advmss: u32,
    pub reordering: u32,
    pub rcv_rtt_us: u32,
    pub rcv_space: u32,
    pub total_retrans: u32,
    pub pacing_rate: Option<u64>,
    pub bytes_acked: Option<u64>,
    pub bytes_received: Option<u64>,
    pub segs_out: Option<u32>,
    pub segs_in: Option<u32>,
    pub notsent_bytes: Option<u32>,
    pub min_rtt_us: Option<u32>,
    pub delivery_rate: Option<u64>,
    pub delivery_rate_app_limited: bool,
    pub busy_time_us: Option<u64>,
    pub rwnd_limited_us: Option<u64>,
    pub sndbuf_limited_us: Option<u64>,
    pub delivered: Option<u32>,
    pub delivered_ce: Option<u32>,
    pub bytes_sent: Option<u64>,
    pub bytes_retrans: Option<u64>,
    pub dsack_dups: Option<u32>,
    pub reord_seen: Option<u32>,
    pub rcv_ooopack: Option<u32>,
    pub snd_wnd: Option<u32>,
    pub rcv_wnd: Option<u32>,
    pub rehash: Option<u32>,
    pub total_rto: Option<u16>,
    pub total_rto_recoveries: Option<u16>,
    pub total_rto_time_ms: Option<u32>,
}
