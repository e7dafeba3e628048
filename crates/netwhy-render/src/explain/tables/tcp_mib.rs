//! TCP and UDP counters of /proc/net/snmp (RFC 4022, RFC 4113).

use crate::explain::row::{Row, conn, event, gauge, pkt, seg};

#[rustfmt::skip]
pub(super) static TCP: &[Row] = &[
    gauge("RtoAlgorithm", "constant", "How the retransmission timeout is computed; a constant 1 ('other') on Linux.").by("snmp_seq_show_tcp_udp"),
    gauge("RtoMin", "milliseconds", "Smallest retransmission timeout; a constant 200, whatever a route's rto_min says.").by("snmp_seq_show_tcp_udp"),
    gauge("RtoMax", "milliseconds", "Largest retransmission timeout; a constant 120000.").by("snmp_seq_show_tcp_udp"),
    gauge("MaxConn", "constant", "Limit of connections; -1: there is none.").by("snmp_seq_show_tcp_udp"),
    conn("ActiveOpens", "connect() calls that sent a SYN.").by("tcp_connect").not("successes: failed ones count too, see AttemptFails").see(&["connection-churn"]),
    conn("PassiveOpens", "Connections of listeners whose handshake was completed.").by("tcp_create_openreq_child").not("accepted ones: they may still wait for accept()"),
    conn("AttemptFails", "Handshakes that came to nothing: connect() refused, timed out or hit by an ICMP error, and half-open ones of a listener that a RST or a stray SYN ended.")
        .by("tcp_done, tcp_check_req").not("a proof of refusal: RST, silence and ICMP raise it alike").see(&["svc-not-listening", "fw-reject", "path-or-remote-drop"]),
    conn("EstabResets", "Established connections torn down at once, by a reset sent or received.").by("tcp_set_state")
        .not("resets received: it rises on the side that sent the RST too"),
    gauge("CurrEstab", "connections", "Connections now in ESTABLISHED or CLOSE-WAIT.").by("tcp_set_state"),
    seg("InSegs", "Segments received, the bad ones included.").by("tcp_v4_rcv, tcp_v6_rcv"),
    seg("OutSegs", "Segments sent, retransmissions not included.").by("__tcp_transmit_skb, tcp_v4_send_reset"),
    seg("RetransSegs", "Segments this host tried to send again.").by("__tcp_retransmit_skb, tcp_rtx_synack")
        .not("retransmissions on the wire: those that failed inside this host are counted here and in TcpExt.TCPRetransFail; the difference reached a device"),
    seg("InErrs", "Segments received that could not be used: checksum, header length, or a bad MD5 or AO option.").by("tcp_v4_rcv, tcp_v6_rcv").see(&["checksum", "tcp-auth"]),
    seg("OutRsts", "Segments with RST sent by the stack.").by("tcp_v4_send_reset, tcp_v6_send_response, tcp_send_active_reset")
        .not("all resets: 'reject with tcp reset' of a rule is made by netfilter and does not move it; that is how the two are told apart").see(&["svc-not-listening", "fw-reject"]),
    seg("InCsumErrors", "Segments with a wrong TCP checksum; InErrs counts them too.").by("tcp_v4_rcv, tcp_v6_rcv")
        .not("'bad checksum' in a capture of outgoing packets: that is offload").see(&["checksum"]),
];

#[rustfmt::skip]
pub(super) static UDP: &[Row] = &[
    pkt("InDatagrams", "Datagrams a program read from its socket.").by("udp_recvmsg, udpv6_recvmsg")
        .not("datagrams that arrived: those still in a socket's queue are not counted yet"),
    pkt("NoPorts", "Datagrams for a port without a socket. The sender gets port unreachable (3/3; ICMPv6 1/4).").by("__udp4_lib_rcv, __udp6_lib_rcv")
        .not("datagrams dropped from a full socket: those are RcvbufErrors").see(&["svc-not-listening", "svc-bound-elsewhere"]),
    pkt("InErrors", "Datagrams that arrived and could not be given to their socket: buffer full, checksum, memory, filter. Contains RcvbufErrors, InCsumErrors and MemErrors.")
        .by("udp_queue_rcv_one_skb, __udp_enqueue_schedule_skb").see(&["udp-rcvbuf-full", "checksum"]),
    pkt("OutDatagrams", "Datagrams sent.").by("udp_send_skb, udp_v6_send_skb"),
    pkt("RcvbufErrors", "Datagrams dropped because the socket's receive buffer was full: the program reads too slowly or in bursts.").by("__udp_enqueue_schedule_skb")
        .not("loss on the network: the datagrams reached this host").see(&["udp-rcvbuf-full"]),
    pkt("SndbufErrors", "Sends that failed for want of buffer: the socket's own, or the device's queue (ENOBUFS).").by("udp_sendmsg, udp_send_skb"),
    pkt("InCsumErrors", "Datagrams with a wrong UDP checksum.").by("udp_queue_rcv_one_skb, __udp4_lib_rcv").see(&["checksum"]),
    pkt("IgnoredMulti", "Multicast or broadcast datagrams without an interested socket.").by("__udp4_lib_mcast_deliver, __udp6_lib_mcast_deliver").not("a fault: others on the link simply send them"),
    pkt("MemErrors", "Datagrams dropped because all UDP sockets together reached net.ipv4.udp_mem.").by("__udp_enqueue_schedule_skb").see(&["udp-mem"]),
];

#[rustfmt::skip]
pub(super) static SOCKSTAT: &[Row] = &[
    gauge("sockets.used", "sockets", "Sockets of every kind in use in this namespace.").by("socket_seq_show"),
    gauge("TCP.inuse", "sockets", "TCP sockets of this namespace that are neither closed nor in TIME-WAIT.").by("sockstat_seq_show"),
    gauge("TCP.orphan", "sockets", "TCP sockets no process holds any more, machine-wide; limit net.ipv4.tcp_max_orphans.").by("tcp_orphan_count_sum").see(&["fin-wait2-orphans"]),
    gauge("TCP.tw", "sockets", "Connections in TIME-WAIT.").by("sockstat_seq_show").not("a fault: it is how TCP ends; only exhausted ports or tcp_max_tw_buckets make it one").see(&["timewait-bucket-overflow"]),
    gauge("TCP.alloc", "sockets", "TCP sockets allocated, machine-wide, those not yet connected included.").by("sockstat_seq_show"),
    gauge("TCP.mem", "pages", "Memory of all TCP sockets, machine-wide; limits net.ipv4.tcp_mem.").by("proto_memory_allocated").see(&["tcp-mem-pressure", "tcp-mem-exhausted"]),
    gauge("UDP.inuse", "sockets", "UDP sockets of this namespace.").by("sockstat_seq_show"),
    gauge("UDP.mem", "pages", "Memory of all UDP sockets, machine-wide; limits net.ipv4.udp_mem.").by("proto_memory_allocated").see(&["udp-mem"]),
    gauge("UDPLITE.inuse", "sockets", "UDP-Lite sockets of this namespace.").by("sockstat_seq_show"),
    gauge("RAW.inuse", "sockets", "Raw sockets of this namespace.").by("sockstat_seq_show"),
    gauge("FRAG.inuse", "queues", "Packets whose fragments are being collected.").by("sockstat_seq_show"),
    gauge("FRAG.memory", "octets", "Memory of those fragments; limit net.ipv4.ipfrag_high_thresh.").by("sockstat_seq_show").see(&["frag-loss"]),
];

#[rustfmt::skip]
pub(super) static SOFTNET: &[Row] = &[
    pkt("processed", "Frames this CPU took from its receive queues (column 1).").by("__netif_receive_skb_core").alias(&["softnet[1]"]),
    pkt("dropped", "Frames dropped because this CPU's backlog held net.core.netdev_max_backlog already (column 2). Only paths that use the backlog fill it: RPS, veth, loopback, tunnels.").by("enqueue_to_backlog")
        .not("losses of the network card: a full ring shows in the device's rx_missed_errors").see(&["cpu-backlog"]).alias(&["softnet[2]", "cpu_backlog_drop"]),
    event("time_squeeze", "Times the softirq stopped with work left because its budget or time was used up (column 3).").by("net_rx_action")
        .not("loss: the work is done a moment later; it matters only when rings or backlogs drop at the same time").see(&["softirq-starved", "softirq-cpu-bound"]).alias(&["softnet[3]"]),
    event("received_rps", "Times another CPU handed this one packets to process (column 10).").by("rps_trigger_softirq").alias(&["softnet[10]"]),
    pkt("flow_limit_count", "Frames of an overactive flow dropped so that others get a share of the backlog (column 11, net.core.flow_limit_cpu_bitmap).").by("skb_flow_limit")
        .see(&["cpu-backlog"]).alias(&["softnet[11]", "flow_limit"]),
    gauge("backlog_len", "packets", "Frames in this CPU's backlog now (column 12, since Linux 5.10).").by("softnet_seq_show").alias(&["softnet[12]"]),
    gauge("cpu_id", "CPU number", "The CPU the line is about (column 13, since Linux 5.10).").by("softnet_seq_show").alias(&["softnet[13]"]),
    gauge("input_qlen", "packets", "Frames in this CPU's input queue now (column 14; absent on older kernels).").by("softnet_seq_show").alias(&["softnet[14]"]),
    gauge("process_qlen", "packets", "Frames this CPU is working through now (column 15; absent on older kernels).").by("softnet_seq_show").alias(&["softnet[15]"]),
];
