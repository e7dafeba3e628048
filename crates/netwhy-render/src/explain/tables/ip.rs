//! IPv4 counters of /proc/net/snmp and the Linux extension of /proc/net/netstat. RFC 4293 gives most names.

use crate::explain::row::{Row, event, gauge, octets, pkt};

#[rustfmt::skip]
pub(super) static IP: &[Row] = &[
    gauge("Forwarding", "1 or 2", "Whether this namespace forwards IPv4: 1 yes, 2 no (net.ipv4.ip_forward).")
        .by("snmp_seq_show_ipstats reads net.ipv4.conf.all.forwarding")
        .not("a per-device answer: net.ipv4.conf.DEV.forwarding of the receiving device decides a packet").see(&["forwarding-off"]),
    gauge("DefaultTTL", "hops", "The TTL packets of this host start with (net.ipv4.ip_default_ttl).").by("snmp_seq_show_ipstats"),
    pkt("InReceives", "IPv4 packets devices handed up, the bad ones included.").by("ip_rcv_core"),
    pkt("InHdrErrors", "Packets thrown away because of their header: version, length, checksum, options, or a TTL that ran out here while forwarding.")
        .by("ip_rcv_core, ip_rcv_options, ip_forward")
        .not("a bad cable: on a router it mostly counts TTLs that ran out, from traceroute or from a routing loop; IpExt.InCsumErrors separates the checksums").see(&["ttl-or-loop"]),
    pkt("InAddrErrors", "Packets for an address that is not this host's, on a device that does not forward.")
        .by("ip_error")
        .not("a firewall drop, and it cannot tell 'forwarding is off' from 'the address moved away'").see(&["forwarding-off", "dst-ip-not-here"]),
    pkt("ForwDatagrams", "Packets this host passed on, after the forward hook let them through.").by("ip_forward_finish"),
    pkt("InUnknownProtos", "Packets whose IP protocol nobody here handles. The sender gets ICMP protocol unreachable (3/2).").by("ip_protocol_deliver_rcu"),
    pkt("InDiscards", "Good packets thrown away on arrival for want of memory.")
        .by("ip_rcv_core, ip_rcv_options, ip_local_deliver_finish").not("firewall drops: those do not move it"),
    pkt("InDelivers", "Packets handed to a protocol of this host: TCP, UDP, ICMP and so on.").by("ip_protocol_deliver_rcu"),
    pkt("OutRequests", "Packets protocols of this host asked to send; forwarded packets are not among them.").by("__ip_local_out"),
    pkt("OutDiscards", "Packets of this host that could not be sent although they were sound: a netfilter hook on output dropped them (sendto fails with EPERM), or memory ran out.")
        .by("ip_send_skb, __ip_append_data")
        .not("drops of TCP segments: those show as TcpExt.TCPRetransFail").see(&["fw-drop-outbound", "conntrack-full"]),
    pkt("OutNoRoutes", "Packets of this host, answers included, for which no route was found.")
        .by("tcp_v4_connect, udp_sendmsg, __ip_queue_xmit, inet_csk_route_req")
        .not("a remote 'network unreachable': that one raises Icmp.InDestUnreachs and leaves this flat").see(&["route-missing", "reply-route-missing"]),
    event("ReasmTimeout", "Packets given up because a fragment did not come within net.ipv4.ipfrag_time.").by("ip_expire")
        .not("loss in general: only fragmented packets can do this").see(&["frag-loss"]),
    pkt("ReasmReqds", "Fragments that arrived and had to be put together.").by("ip_defrag"),
    pkt("ReasmOKs", "Packets put together from their fragments.").by("ip_frag_reasm"),
    pkt("ReasmFails", "Fragments thrown away: timeout, memory limit (net.ipv4.ipfrag_high_thresh), overlap, or nonsense.").by("ip_defrag, ip_expire, ip_frag_reasm").see(&["frag-loss"]),
    pkt("FragOKs", "Packets this host cut into fragments.").by("ip_do_fragment"),
    pkt("FragFails", "Packets too large for the next device that must not be fragmented (DF). The sender gets ICMP fragmentation needed (3/4).")
        .by("ip_fragment, ip_forward").not("broken fragmentation: it is how path MTU discovery works, and a fault only when the ICMP is lost").see(&["mtu-blackhole", "pmtu-reduced"]),
    pkt("FragCreates", "Fragments this host made.").by("ip_do_fragment"),
    pkt("OutTransmits", "Packets given to a device, own and forwarded ones.").by("ip_output, ip_mc_output")
        .not("packets on the wire: a qdisc or the neighbour table can still drop them"),
];

#[rustfmt::skip]
pub(super) static IP_EXT: &[Row] = &[
    pkt("InNoRoutes", "Packets to be forwarded for which no route was found. The sender gets ICMP network unreachable (3/0).").by("ip_error")
        .see(&["forward-no-route", "route-missing"]),
    pkt("InTruncatedPkts", "Packets shorter than their header says.").by("ip_rcv_core"),
    pkt("InMcastPkts", "Multicast packets received.").by("ip_rcv_finish_core"),
    pkt("OutMcastPkts", "Multicast packets sent.").by("ip_mc_output"),
    pkt("InBcastPkts", "Broadcast packets received.").by("ip_rcv_finish_core"),
    pkt("OutBcastPkts", "Broadcast packets sent.").by("ip_mc_output"),
    octets("InOctets", "Octets of received IPv4 packets, headers included.").by("ip_rcv_core"),
    octets("OutOctets", "Octets of sent IPv4 packets, headers included.").by("ip_output"),
    octets("InMcastOctets", "Octets of received multicast.").by("ip_rcv_finish_core"),
    octets("OutMcastOctets", "Octets of sent multicast.").by("ip_mc_output"),
    octets("InBcastOctets", "Octets of received broadcast.").by("ip_rcv_finish_core"),
    octets("OutBcastOctets", "Octets of sent broadcast.").by("ip_mc_output"),
    pkt("InCsumErrors", "Packets with a wrong IPv4 header checksum; Ip.InHdrErrors counts them too.").by("ip_rcv_core")
        .not("'bad checksum' in a capture of outgoing packets: that is offload, the device fills it in later").see(&["checksum", "ip-header"]),
    pkt("InNoECTPkts", "Received packets whose sender does not do ECN.").by("ip_rcv_core"),
    pkt("InECT1Pkts", "Received packets marked ECT(1).").by("ip_rcv_core"),
    pkt("InECT0Pkts", "Received packets marked ECT(0): the usual mark of a sender that does ECN.").by("ip_rcv_core"),
    pkt("InCEPkts", "Received packets a router marked 'congestion experienced' instead of dropping them.").by("ip_rcv_core")
        .not("loss: nothing was lost, a queue on the path was long").see(&["ecn-marks"]),
    pkt("ReasmOverlaps", "Fragments that overlap others; the whole packet is thrown away.").by("inet_frag_queue_insert").see(&["frag-loss"]),
];
