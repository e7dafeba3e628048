//! IPv6 counters of /proc/net/snmp6 (RFC 4293). UDP's are those of IPv4 under other names.

use crate::explain::row::{Row, event, octets, pkt};

#[rustfmt::skip]
pub(super) static IP6: &[Row] = &[
    pkt("InReceives", "IPv6 packets devices handed up, the bad ones included.").by("ip6_rcv_core"),
    pkt("InHdrErrors", "Packets thrown away because of their header: version, extension headers, or a hop limit that ran out here while forwarding.").by("ip6_rcv_core, ip6_forward")
        .not("a bad cable: on a router it mostly counts hop limits that ran out").see(&["ttl-or-loop"]),
    pkt("InTooBigErrors", "Packets to be forwarded that do not fit the next device. The sender gets 'packet too big'.").by("ip6_forward")
        .not("a fault by itself: it is how path MTU discovery works").see(&["pmtu-reduced", "mtu-blackhole"]),
    pkt("InNoRoutes", "Packets received for which no route was found.").by("ip6_pkt_drop").see(&["forward-no-route", "route-missing"]),
    pkt("InAddrErrors", "Packets thrown away because of an address: source or destination that must not appear, or a destination this host cannot deliver or forward.").by("ip6_rcv_core, ip6_pkt_drop, ip6_forward")
        .see(&["forwarding-off", "dst-ip-not-here"]),
    pkt("InUnknownProtos", "Packets whose next header nobody here handles. The sender gets 'parameter problem'.").by("ip6_protocol_deliver_rcu"),
    pkt("InTruncatedPkts", "Packets shorter than their header says.").by("ip6_rcv_core"),
    pkt("InDiscards", "Packets thrown away on arrival: no memory, or a policy of IPsec; on a device with disable_ipv6, every one.").by("ip6_rcv_core, ip6_forward, ip6_protocol_deliver_rcu").see(&["ipv6-broken", "dad-failed"]),
    pkt("InDelivers", "Packets handed to a protocol of this host.").by("ip6_protocol_deliver_rcu"),
    pkt("OutForwDatagrams", "Packets this host passed on.").by("ip6_forward_finish"),
    pkt("OutRequests", "Packets protocols of this host asked to send.").by("__ip6_local_out, ip6_xmit"),
    pkt("OutDiscards", "Packets that could not be sent although they were sound: a rule on output, disable_ipv6, memory.").by("ip6_send_skb, ip6_output, ip6_forward").see(&["fw-drop-outbound", "ipv6-broken", "dad-failed"]),
    pkt("OutNoRoutes", "Packets of this host for which no route was found.").by("ip6_dst_lookup_tail, ip6_pkt_drop").not("a remote 'no route': that one raises Icmp6InDestUnreachs").see(&["route-missing", "reply-route-missing", "ipv6-broken", "dad-failed"]),
    event("ReasmTimeout", "Packets given up because a fragment did not come in time (net.ipv6.ip6frag_time).").by("ip6frag_expire_frag_queue").see(&["frag-loss"]),
    pkt("ReasmReqds", "Fragments that arrived and had to be put together.").by("ipv6_frag_rcv"),
    pkt("ReasmOKs", "Packets put together from their fragments.").by("ip6_frag_reasm"),
    pkt("ReasmFails", "Fragments thrown away: timeout, memory limit, overlap, or nonsense.").by("ip6_frag_reasm, ip6frag_expire_frag_queue").see(&["frag-loss"]),
    pkt("FragOKs", "Packets this host cut into fragments. IPv6 routers never do.").by("ip6_fragment"),
    pkt("FragFails", "Packets that had to be cut or refused and could not be sent: too large for the path and not allowed to be cut, or no memory.").by("ip6_fragment, ip6_forward").see(&["mtu-blackhole", "pmtu-reduced"]),
    pkt("FragCreates", "Fragments this host made.").by("ip6_fragment"),
    pkt("InMcastPkts", "Multicast packets received; neighbour discovery is among them.").by("ip6_mc_input"),
    pkt("OutMcastPkts", "Multicast packets sent; neighbour discovery is among them.").by("ip6_finish_output2"),
    octets("InOctets", "Octets of received IPv6 packets, headers included.").by("ip6_rcv_core"),
    octets("OutOctets", "Octets of sent IPv6 packets, headers included.").by("ip6_output"),
    octets("InMcastOctets", "Octets of received multicast.").by("ip6_mc_input"),
    octets("OutMcastOctets", "Octets of sent multicast.").by("ip6_finish_output2"),
    octets("InBcastOctets", "Always zero: IPv6 has no broadcast.").by("nothing"),
    octets("OutBcastOctets", "Always zero: IPv6 has no broadcast.").by("nothing"),
    pkt("InNoECTPkts", "Received packets whose sender does not do ECN.").by("ip6_rcv_core"),
    pkt("InECT1Pkts", "Received packets marked ECT(1).").by("ip6_rcv_core"),
    pkt("InECT0Pkts", "Received packets marked ECT(0).").by("ip6_rcv_core"),
    pkt("InCEPkts", "Received packets a router marked 'congestion experienced'.").by("ip6_rcv_core").not("loss: nothing was lost").see(&["ecn-marks"]),
    pkt("OutTransmits", "Packets given to a device, own and forwarded ones. Absent on older kernels.").by("ip6_output"),
];
