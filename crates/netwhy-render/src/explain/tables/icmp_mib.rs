//! ICMP counters of /proc/net/snmp (RFC 4293, RFC 2011). Those of single types are made from the table of ICMP messages.

use crate::explain::row::{Row, msg};

#[rustfmt::skip]
pub(super) static ICMP: &[Row] = &[
    msg("InMsgs", "ICMP messages received, the bad ones included.").by("icmp_rcv"),
    msg("InErrors", "ICMP messages received that could not be used: checksum, length, unknown type.").by("icmp_rcv")
        .not("errors reported by others: those are InDestUnreachs, InTimeExcds and so on"),
    msg("InCsumErrors", "ICMP messages with a wrong checksum.").by("icmp_rcv").see(&["checksum"]),
    msg("InDestUnreachs", "'Destination unreachable' received: somebody, perhaps this host itself, says a packet of ours cannot be delivered. IcmpMsg.InType3 counts the same.")
        .by("icmp_rcv").not("a RST: refusals by RST do not move it").see(&["fw-reject", "neigh-unresolved", "reply-lost-upstream"]),
    msg("InTimeExcds", "'Time exceeded' received: a TTL ran out on the path, or fragments were not put together in time.").by("icmp_rcv")
        .not("a slow network: it is about hops, not seconds").see(&["ttl-or-loop"]),
    msg("InParmProbs", "'Parameter problem' received: somebody could not read our IP header.").by("icmp_rcv"),
    msg("InSrcQuenchs", "'Source quench' received; obsolete and ignored (RFC 6633).").by("icmp_rcv"),
    msg("InRedirects", "'Redirect' received: a router says another one on the same link is nearer.").by("icmp_rcv")
        .not("a route change: it is only followed where net.ipv4.conf.DEV.accept_redirects allows"),
    msg("InEchos", "Echo requests received.").by("icmp_rcv").not("answered echos: icmp_echo_ignore_all and rules decide that"),
    msg("InEchoReps", "Echo replies received.").by("icmp_rcv"),
    msg("InTimestamps", "Timestamp requests received.").by("icmp_rcv"),
    msg("InTimestampReps", "Timestamp replies received.").by("icmp_rcv"),
    msg("InAddrMasks", "Address mask requests received; obsolete.").by("icmp_rcv"),
    msg("InAddrMaskReps", "Address mask replies received; obsolete.").by("icmp_rcv"),
    msg("OutMsgs", "ICMP messages this host tried to send.").by("icmp_push_reply"),
    msg("OutErrors", "ICMP messages that could not be built, for want of memory mostly.").by("icmp_push_reply"),
    msg("OutRateLimitGlobal", "ICMP errors not sent because of the machine-wide limit (net.ipv4.icmp_msgs_per_sec, icmp_msgs_burst).").by("icmpv4_global_allow, __icmp_send")
        .not("packets lost by a firewall: the victim sees silence where an error would have come").see(&["udp-filtered-or-silent"]),
    msg("OutRateLimitHost", "ICMP errors not sent because of the limit per destination (net.ipv4.icmp_ratelimit, icmp_ratemask).").by("icmpv4_xrlim_allow")
        .not("a filter: a closed UDP port probed quickly looks filtered because of this").see(&["udp-filtered-or-silent"]),
    msg("OutDestUnreachs", "'Destination unreachable' sent: port without socket, no neighbour, no route, a reject rule.").by("icmp_out_count in icmp_push_reply")
        .see(&["svc-not-listening", "neigh-unresolved", "fw-reject"]),
    msg("OutTimeExcds", "'Time exceeded' sent: a TTL ran out here, or fragments did not come in time.").by("icmp_out_count in icmp_push_reply").see(&["ttl-or-loop", "frag-loss"]),
    msg("OutParmProbs", "'Parameter problem' sent.").by("icmp_out_count in icmp_push_reply"),
    msg("OutSrcQuenchs", "'Source quench' sent; never on Linux.").by("icmp_out_count in icmp_push_reply"),
    msg("OutRedirects", "'Redirect' sent: a packet left by the device it came in by, and its sender is on that link.").by("ip_rt_send_redirect"),
    msg("OutEchos", "Echo requests sent by ping sockets and raw sockets.").by("icmp_out_count in ping_v4_sendmsg and raw_sendmsg"),
    msg("OutEchoReps", "Echo replies sent.").by("icmp_out_count in icmp_push_reply"),
    msg("OutTimestamps", "Timestamp requests sent.").by("icmp_out_count"),
    msg("OutTimestampReps", "Timestamp replies sent.").by("icmp_out_count"),
    msg("OutAddrMasks", "Address mask requests sent; obsolete.").by("icmp_out_count"),
    msg("OutAddrMaskReps", "Address mask replies sent; obsolete.").by("icmp_out_count"),
];

#[rustfmt::skip]
pub(super) static ICMP6: &[Row] = &[
    msg("InMsgs", "ICMPv6 messages received, neighbour discovery included.").by("icmpv6_rcv"),
    msg("InErrors", "ICMPv6 messages received that could not be used.").by("icmpv6_rcv"),
    msg("OutMsgs", "ICMPv6 messages sent.").by("ndisc_send_skb, icmpv6_push_pending_frames"),
    msg("OutErrors", "ICMPv6 messages that could not be sent.").by("icmpv6_push_pending_frames"),
    msg("InCsumErrors", "ICMPv6 messages with a wrong checksum.").by("icmpv6_rcv").see(&["checksum"]),
    msg("OutRateLimitHost", "ICMPv6 errors not sent because of the limit per destination (net.ipv6.icmp.ratelimit).").by("icmpv6_xrlim_allow")
        .not("a filter: the victim sees silence where an error would have come").see(&["udp-filtered-or-silent"]),
    msg("InDestUnreachs", "'Destination unreachable' (type 1) received.").by("icmpv6_rcv").see(&["fw-reject", "neigh-unresolved"]),
    msg("InPktTooBigs", "'Packet too big' (type 2) received: path MTU discovery at work.").by("icmpv6_rcv").see(&["pmtu-reduced"]),
    msg("InTimeExcds", "'Time exceeded' (type 3) received: a hop limit ran out, or fragments did not come in time.").by("icmpv6_rcv").see(&["ttl-or-loop"]),
    msg("InParmProblems", "'Parameter problem' (type 4) received.").by("icmpv6_rcv"),
    msg("InEchos", "Echo requests (type 128) received.").by("icmpv6_rcv"),
    msg("InEchoReplies", "Echo replies (type 129) received.").by("icmpv6_rcv"),
    msg("InGroupMembQueries", "Multicast listener queries (type 130) received.").by("icmpv6_rcv"),
    msg("InGroupMembResponses", "MLDv1 reports (type 131) received.").by("icmpv6_rcv"),
    msg("InGroupMembReductions", "MLDv1 done messages (type 132) received.").by("icmpv6_rcv"),
    msg("InRouterSolicits", "Router solicitations (type 133) received.").by("icmpv6_rcv"),
    msg("InRouterAdvertisements", "Router advertisements (type 134) received.").by("icmpv6_rcv")
        .not("a default route: accept_ra and forwarding decide whether it is used").see(&["ipv6-broken", "dad-failed"]),
    msg("InNeighborSolicits", "Neighbour solicitations (type 135) received: others look for our link-layer address.").by("icmpv6_rcv"),
    msg("InNeighborAdvertisements", "Neighbour advertisements (type 136) received: answers to our solicitations.").by("icmpv6_rcv").see(&["neigh-unresolved"]),
    msg("InRedirects", "Redirects (type 137) received.").by("icmpv6_rcv"),
    msg("InMLDv2Reports", "MLDv2 reports (type 143) received.").by("icmpv6_rcv"),
    msg("OutDestUnreachs", "'Destination unreachable' (type 1) sent.").by("icmp6_send").see(&["svc-not-listening", "fw-reject"]),
    msg("OutPktTooBigs", "'Packet too big' (type 2) sent: a packet did not fit the next device.").by("ip6_forward, icmp6_send").see(&["pmtu-reduced"]),
    msg("OutTimeExcds", "'Time exceeded' (type 3) sent.").by("ip6_forward, icmp6_send").see(&["ttl-or-loop"]),
    msg("OutParmProblems", "'Parameter problem' (type 4) sent.").by("icmp6_send"),
    msg("OutEchos", "Echo requests (type 128) sent.").by("ping_v6_sendmsg, rawv6_sendmsg"),
    msg("OutEchoReplies", "Echo replies (type 129) sent.").by("icmpv6_echo_reply"),
    msg("OutGroupMembQueries", "Multicast listener queries sent; this host is no querier, so rarely.").by("icmpv6 output"),
    msg("OutGroupMembResponses", "MLDv1 reports sent.").by("igmp6_send"),
    msg("OutGroupMembReductions", "MLDv1 done messages sent.").by("igmp6_send"),
    msg("OutRouterSolicits", "Router solicitations sent: this host looks for a router.").by("ndisc_send_rs")
        .not("an answer: compare Icmp6InRouterAdvertisements").see(&["ipv6-broken", "dad-failed"]),
    msg("OutRouterAdvertisements", "Router advertisements sent by a daemon of this host.").by("rawv6_sendmsg"),
    msg("OutNeighborSolicits", "Neighbour solicitations sent: this host looks for somebody's link-layer address.").by("ndisc_send_ns").see(&["neigh-unresolved"]),
    msg("OutNeighborAdvertisements", "Neighbour advertisements sent: this host answers.").by("ndisc_send_na"),
    msg("OutRedirects", "Redirects sent.").by("ndisc_send_redirect"),
    msg("OutMLDv2Reports", "MLDv2 reports sent.").by("mld_sendpack"),
];
