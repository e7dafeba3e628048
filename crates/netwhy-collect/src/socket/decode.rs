//! An answer of inet_diag: `struct inet_diag_msg` and its attributes (uapi `linux/inet_diag.h`).

use std::net::IpAddr;

use netwhy_facts::socket::{SkMem, Socket, TcpInfo};
use netwhy_facts::{Family, Proto, Reading};
use netwhy_wire::inet_diag::ANSWER;
use netwhy_wire::netlink::{Attributes, Fixed};

const INFO: u16 = 2;
const CONG: u16 = 4;
const SKMEMINFO: u16 = 7;
const SHUTDOWN: u16 = 8;
const SKV6ONLY: u16 = 11;
const MARK: u16 = 15;
const CGROUP_ID: u16 = 21;

/// The socket in an answer's payload; `None` if it is shorter than its structure or of no IP family.
#[must_use]
pub fn socket(proto: Proto, payload: &[u8]) -> Option<Socket> {
    let fixed = Fixed(payload);
    let family = match fixed.u8(0)? {
        2 => Family::Inet,
        10 => Family::Inet6,
        _ => return None,
    };
    let address = |at: usize| {
        Some(match family {
            Family::Inet => IpAddr::from(fixed.array::<4>(at)?),
            Family::Inet6 => IpAddr::from(fixed.array::<16>(at)?),
        })
    };
    let mut socket = Socket {
        proto,
        family,
        lport: fixed.be16(4)?,
        rport: fixed.be16(6)?,
        local: address(8)?,
        remote: address(24)?,
        ifindex: fixed.u32(40)?,
        cookie: u64::from(fixed.u32(44)?) | u64::from(fixed.u32(48)?) << 32,
        rqueue: fixed.u32(56)?,
        wqueue: fixed.u32(60)?,
        uid: fixed.u32(64)?,
        inode: fixed.u32(68)?.into(),
        state: state_word(fixed.u8(1)?),
        v6only: None,
        mark: None,
        cgroup_id: None,
        shutdown: None,
        congestion: None,
        mem: None,
        tcp: None,
        filter: None,
        owners: Reading::NotAsked,
        netns: 0,
    };
    for attribute in Attributes::after(payload, ANSWER).flatten() {
        match attribute.kind {
            INFO if socket.state != "LISTEN" && proto == Proto::Tcp => {
                socket.tcp = tcp_info(attribute.fixed()).map(Box::new);
            }
            CONG => socket.congestion = Some(attribute.text().into_owned()),
            SKMEMINFO => socket.mem = mem(attribute.fixed()),
            SHUTDOWN => socket.shutdown = attribute.u8().ok(),
            SKV6ONLY => socket.v6only = attribute.u8().ok().map(|on| on != 0),
            MARK => socket.mark = attribute.u32().ok(),
            CGROUP_ID => socket.cgroup_id = attribute.u64().ok(),
            _ => {}
        }
    }
    Some(socket)
}

/// The word of ss(8) for `TCP_*`.
pub(crate) fn state_word(number: u8) -> String {
    let word = match number {
        1 => "ESTAB",
        2 => "SYN-SENT",
        // 12 is a request socket, counted as what it will be.
        3 | 12 => "SYN-RECV",
        4 => "FIN-WAIT-1",
        5 => "FIN-WAIT-2",
        6 => "TIME-WAIT",
        // 13 is how bound and not listening may be asked for; it is answered as 7.
        7 | 13 => "UNCONN",
        8 => "CLOSE-WAIT",
        9 => "LAST-ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        other => return format!("STATE-{other}"),
    };
    word.to_owned()
}

/// `SK_MEMINFO_*`, nine words; the last is of 4.8.
fn mem(fixed: Fixed<'_>) -> Option<SkMem> {
    let word = |index: usize| fixed.u32(index * 4);
    Some(SkMem {
        rmem_alloc: word(0)?,
        rcvbuf: word(1)?,
        wmem_alloc: word(2)?,
        sndbuf: word(3)?,
        fwd_alloc: word(4)?,
        wmem_queued: word(5)?,
        optmem: word(6)?,
        backlog: word(7)?,
        drops: word(8).unwrap_or(0),
    })
}

/// `struct tcp_info` (uapi `linux/tcp.h`): its first 104 bytes are in every kernel, what follows has grown.
#[must_use]
pub fn tcp_info(fixed: Fixed<'_>) -> Option<TcpInfo> {
    // Bit fields fill a byte from its lowest bit on little endian, from its highest on big endian.
    let (scales, limited) = (fixed.u8(6)?, fixed.u8(7)?);
    let little = cfg!(target_endian = "little");
    let (low, high) = (scales & 15, scales >> 4);
    let (snd_wscale, rcv_wscale) = if little { (low, high) } else { (high, low) };
    Some(TcpInfo {
        state: fixed.u8(0)?,
        ca_state: fixed.u8(1)?,
        retransmits: fixed.u8(2)?,
        probes: fixed.u8(3)?,
        backoff: fixed.u8(4)?,
        options: fixed.u8(5)?,
        snd_wscale,
        rcv_wscale,
        delivery_rate_app_limited: limited & if little { 1 } else { 0x80 } != 0,
        rto_us: fixed.u32(8)?,
        ato_us: fixed.u32(12)?,
        snd_mss: fixed.u32(16)?,
        rcv_mss: fixed.u32(20)?,
        unacked: fixed.u32(24)?,
        sacked: fixed.u32(28)?,
        lost: fixed.u32(32)?,
        retrans: fixed.u32(36)?,
        last_data_sent_ms: fixed.u32(44)?,
        last_data_recv_ms: fixed.u32(52)?,
        last_ack_recv_ms: fixed.u32(56)?,
        pmtu: fixed.u32(60)?,
        rcv_ssthresh: fixed.u32(64)?,
        rtt_us: fixed.u32(68)?,
        rttvar_us: fixed.u32(72)?,
        snd_ssthresh: fixed.u32(76)?,
        snd_cwnd: fixed.u32(80)?,
        advmss: fixed.u32(84)?,
        reordering: fixed.u32(88)?,
        rcv_rtt_us: fixed.u32(92)?,
        rcv_space: fixed.u32(96)?,
        total_retrans: fixed.u32(100)?,
        pacing_rate: fixed.u64(104),
        bytes_acked: fixed.u64(120),
        bytes_received: fixed.u64(128),
        segs_out: fixed.u32(136),
        segs_in: fixed.u32(140),
        notsent_bytes: fixed.u32(144),
        min_rtt_us: fixed.u32(148),
        delivery_rate: fixed.u64(160),
        busy_time_us: fixed.u64(168),
        rwnd_limited_us: fixed.u64(176),
        sndbuf_limited_us: fixed.u64(184),
        delivered: fixed.u32(192),
        delivered_ce: fixed.u32(196),
        bytes_sent: fixed.u64(200),
        bytes_retrans: fixed.u64(208),
        dsack_dups: fixed.u32(216),
        reord_seen: fixed.u32(220),
        rcv_ooopack: fixed.u32(224),
        snd_wnd: fixed.u32(228),
        rcv_wnd: fixed.u32(232),
        rehash: fixed.u32(236),
        total_rto: fixed.u16(240),
        total_rto_recoveries: fixed.u16(242),
        total_rto_time_ms: fixed.u32(244),
    })
}
