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
    /// Connections by state word (ESTAB, TIME-WAIT …): to the destination for a client, of its port (and the source, when known) for an inbound question.
    pub to_target: std::collections::BTreeMap<String, u32>,
    /// Ports asked for besides the question's own, because a rule may lead there: no socket of one here means there is none.
    #[serde(default)]
    pub ports: Vec<u16>,
}

impl Fact for Sockets {
    const KIND: &'static str = "sockets";
}

/// Listeners on the target's port in other namespaces of this machine. Empty only where every namespace was read:
/// with some of them hidden or refused and none found, the reading is denied.
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
    /// Send queue: bytes, or for LISTEN the backlog limit; `u32::MAX` where it is not told (`/proc/net/tcp`).
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
    /// Segments acknowledged ahead of a hole (FACK).
    #[serde(default)]
    pub fackets: u32,
    /// The ceiling of the pacing rate, bytes per second; all ones for none.
    #[serde(default)]
    pub max_pacing_rate: Option<u64>,
    /// Segments with data received.
    #[serde(default)]
    pub data_segs_in: Option<u32>,
    /// Segments with data sent.
    #[serde(default)]
    pub data_segs_out: Option<u32>,
    /// Why the last fast open did not work: TFO_*; 0 for no failure.
    #[serde(default)]
    pub fastopen_client_fail: u8,
    /// Segments received with the mark of congestion (since 6.18, as all that follows).
    #[serde(default)]
    pub received_ce: Option<u32>,
    /// Bytes delivered with ECT(1), ECT(0) and CE, as the peer counted them (AccECN).
    #[serde(default)]
    pub delivered_ecn_bytes: Option<[u32; 3]>,
    /// Bytes received with ECT(1), ECT(0) and CE.
    #[serde(default)]
    pub received_ecn_bytes: Option<[u32; 3]>,
}

impl TcpInfo {
    /// Reads `struct tcp_info` (uapi `linux/tcp.h`) as the kernel hands it out by `TCP_INFO` and `INET_DIAG_INFO`:
    /// native byte order, as long as that kernel makes it. `None` if it is shorter than the part all kernels have.
    pub fn from_kernel(bytes: &[u8]) -> Option<Self> {
        /// Up to and with `tcpi_total_retrans`.
        const OLDEST: usize = 104;
        bytes.get(..OLDEST)?;
        let u8_at = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let try_u16 = |at: usize| Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let try_u32 = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let try_u64 = |at: usize| Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let u32_at = |at: usize| try_u32(at).unwrap_or(0);
        // Bit fields fill a byte from its low end on little endian machines, from its high end on the others.
        let little = cfg!(target_endian = "little");
        let (low, high) = (u8_at(6) & 0x0f, u8_at(6) >> 4);
        let (snd_wscale, rcv_wscale) = if little { (low, high) } else { (high, low) };
        let limited = if little { 0x01 } else { 0x80 };
        Some(Self {
            state: u8_at(0),
            ca_state: u8_at(1),
            retransmits: u8_at(2),
            probes: u8_at(3),
            backoff: u8_at(4),
            options: u8_at(5),
            snd_wscale,
            rcv_wscale,
            delivery_rate_app_limited: u8_at(7) & limited != 0,
            rto_us: u32_at(8),
            ato_us: u32_at(12),
            snd_mss: u32_at(16),
            rcv_mss: u32_at(20),
            unacked: u32_at(24),
            sacked: u32_at(28),
            lost: u32_at(32),
            retrans: u32_at(36),
            last_data_sent_ms: u32_at(44),
            last_data_recv_ms: u32_at(52),
            last_ack_recv_ms: u32_at(56),
            pmtu: u32_at(60),
            rcv_ssthresh: u32_at(64),
            rtt_us: u32_at(68),
            rttvar_us: u32_at(72),
            snd_ssthresh: u32_at(76),
            snd_cwnd: u32_at(80),
            advmss: u32_at(84),
            reordering: u32_at(88),
            rcv_rtt_us: u32_at(92),
            rcv_space: u32_at(96),
            total_retrans: u32_at(100),
            pacing_rate: try_u64(104),
            bytes_acked: try_u64(120),
            bytes_received: try_u64(128),
            segs_out: try_u32(136),
            segs_in: try_u32(140),
            notsent_bytes: try_u32(144),
            min_rtt_us: try_u32(148),
            delivery_rate: try_u64(160),
            busy_time_us: try_u64(168),
            rwnd_limited_us: try_u64(176),
            sndbuf_limited_us: try_u64(184),
            delivered: try_u32(192),
            delivered_ce: try_u32(196),
            bytes_sent: try_u64(200),
            bytes_retrans: try_u64(208),
            dsack_dups: try_u32(216),
            reord_seen: try_u32(220),
            rcv_ooopack: try_u32(224),
            snd_wnd: try_u32(228),
            rcv_wnd: try_u32(232),
            rehash: try_u32(236),
            total_rto: try_u16(240),
            total_rto_recoveries: try_u16(242),
            total_rto_time_ms: try_u32(244),
            fackets: u32_at(40),
            max_pacing_rate: try_u64(112),
            data_segs_in: try_u32(152),
            data_segs_out: try_u32(156),
            // Two bits beside the one of delivery_rate_app_limited.
            fastopen_client_fail: if little { u8_at(7) >> 1 & 3 } else { u8_at(7) >> 5 & 3 },
            received_ce: try_u32(248),
            delivered_ecn_bytes: try_u32(260).and(Some([u32_at(252), u32_at(256), u32_at(260)])),
            received_ecn_bytes: try_u32(272).and(Some([u32_at(264), u32_at(268), u32_at(272)])),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_kernels_tcp_info_has_absent_fields() {
        let bytes: Vec<u8> = (0..=247).collect();
        let whole = TcpInfo::from_kernel(&bytes).unwrap();
        assert_eq!((whole.state, whole.retransmits, whole.options), (0, 2, 5));
        assert_eq!(whole.rto_us, u32::from_ne_bytes([8, 9, 10, 11]));
        assert_eq!(whole.total_rto_time_ms, Some(u32::from_ne_bytes([244, 245, 246, 247])));
        let old = TcpInfo::from_kernel(&bytes[..104]).unwrap();
        assert_eq!(old.total_retrans, u32::from_ne_bytes([100, 101, 102, 103]));
        assert_eq!((old.pacing_rate, old.segs_out, old.rehash), (None, None, None));
        let between = TcpInfo::from_kernel(&bytes[..140]).unwrap();
        assert_eq!((between.segs_out.is_some(), between.segs_in), (true, None));
        assert!(TcpInfo::from_kernel(&bytes[..103]).is_none());
    }
}
