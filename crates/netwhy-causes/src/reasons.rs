//! Under which reasons and at which places the kernel frees packets when a condition holds.
//!
//! Rules are not among them: they ask for the place of their own hook (`events::by_rule`). What is here is added to a
//! finding as evidence, and proves it where no other condition frees packets like that.

use netwhy_facts::event::EventWay;

use crate::events::{Freed, by_tracking};

/// What an event says about a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Its mechanism, and that of no other condition.
    Proves,
    /// Its mechanism, but others look alike.
    Fits,
}

/// Conditions with the reasons they show as. NETFILTER_DROP stands for the place where tracking and NAT free.
#[rustfmt::skip]
const TABLE: &[(&str, Says, &[&str])] = &[
    ("conntrack-full", Says::Fits, &["NETFILTER_DROP"]),
    ("snat-port-exhausted", Says::Fits, &["NETFILTER_DROP"]),
    ("fw-drop-neighbour", Says::Fits, &["NETFILTER_DROP"]),
    ("fw-drop-icmp", Says::Fits, &["NETFILTER_DROP"]),
    ("forwarding-off", Says::Fits, &["IP_INADDRERRORS", "IPV6DISABLED"]),
    ("dst-ip-not-here", Says::Fits, &["IP_INADDRERRORS", "IP_INNOROUTES"]),
    ("forward-no-route", Says::Fits, &["IP_INNOROUTES", "IP_OUTNOROUTES"]),
    ("reply-route-missing", Says::Fits, &["IP_OUTNOROUTES"]),
    ("neigh-unresolved", Says::Proves, &["NEIGH_FAILED", "NEIGH_QUEUEFULL"]),
    ("neigh-table-full", Says::Proves, &["NEIGH_CREATEFAIL"]),
    ("qdisc-drop", Says::Proves, &["QDISC_OVERLIMIT", "QDISC_CONGESTED", "CAKE_FLOOD", "FQ_BAND_LIMIT", "FQ_HORIZON_LIMIT", "FQ_FLOW_LIMIT"]),
    ("qdisc-drop", Says::Fits, &["QDISC_DROP"]),
    ("link-down", Says::Fits, &["QDISC_DROP", "DEV_READY", "NO_TX_TARGET"]),
    ("svc-not-listening", Says::Fits, &["NO_SOCKET"]),
    ("svc-bound-elsewhere", Says::Fits, &["NO_SOCKET"]),
    ("udp-port-closed", Says::Fits, &["NO_SOCKET"]),
    ("udp-rcvbuf-full", Says::Proves, &["SOCKET_RCVBUFF"]),
    ("udp-rcvbuf-full", Says::Fits, &["PROTO_MEM"]),
    ("accept-queue-full", Says::Proves, &["TCP_LISTEN_OVERFLOW"]),
    ("ttl-or-loop", Says::Fits, &["IP_INHDR"]),
    ("ipsec", Says::Proves, &["XFRM_POLICY"]),
    ("tcp-auth", Says::Proves, &["TCP_AUTH_HDR", "TCP_MD5NOTFOUND", "TCP_MD5UNEXPECTED", "TCP_MD5FAILURE", "TCP_AONOTFOUND", "TCP_AOUNEXPECTED", "TCP_AOKEYNOTFOUND", "TCP_AOFAILURE"]),
    ("tw-collision", Says::Fits, &["TCP_RFC7323_TW_PAWS", "TCP_RFC7323_PAWS"]),
    ("bridge-port-blocked", Says::Proves, &["BRIDGE_INGRESS_STP_STATE"]),
    ("local-mtu", Says::Fits, &["PKT_TOO_BIG"]),
    ("mtu-blackhole", Says::Fits, &["PKT_TOO_BIG"]),
    ("ipv6-broken", Says::Fits, &["IPV6DISABLED"]),
];

/// What freed packets say about a cause.
pub fn says(cause: &str, freed: &Freed<'_>) -> Option<Says> {
    let whose = match cause {
        "fw-drop-neighbour" => freed.way == EventWay::NextHop,
        "fw-drop-icmp" => freed.is_error(),
        // What cannot leave is the question for the next hop, as long as nobody answers it.
        "qdisc-drop" | "link-down" => !freed.is_error(),
        _ => freed.way != EventWay::NextHop && !freed.is_error(),
    };
    let place = match cause {
        "conntrack-full" | "snat-port-exhausted" => by_tracking(freed.location),
        _ => true,
    };
    let told = TABLE.iter().find(|(id, _, reasons)| *id == cause && reasons.contains(&freed.reason));
    told.filter(|_| whose && place).map(|(_, says, _)| *says)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freed<'a>(reason: &'a str, location: &'a str, way: EventWay) -> Freed<'a> {
        Freed { reason, location, dev: None, way, packet: None, count: 1 }
    }

    #[test]
    fn every_cause_of_the_table_is_one() {
        for (id, ..) in TABLE {
            assert!(crate::causes::ALL.iter().any(|cause| cause.id == *id), "{id}");
        }
    }

    #[test]
    fn look_alikes_of_one_reason_differ_by_place_and_packet() {
        let at = |location| freed("NETFILTER_DROP", location, EventWay::Forward);
        assert_eq!(says("conntrack-full", &at("nf_hook_slow")), Some(Says::Fits));
        assert_eq!(says("conntrack-full", &at("nft_do_chain")), None);
        assert_eq!(says("fw-drop-neighbour", &at("nft_do_chain")), None);
        let hop = freed("NETFILTER_DROP", "nft_do_chain", EventWay::NextHop);
        assert_eq!(says("fw-drop-neighbour", &hop), Some(Says::Fits));
        assert_eq!(says("conntrack-full", &hop), None);
        let failed = freed("NEIGH_FAILED", "neigh_invalidate", EventWay::Forward);
        assert_eq!(says("neigh-unresolved", &failed), Some(Says::Proves));
        assert_eq!(says("rp-filter", &failed), None);
        let question = freed("QDISC_DROP", "__dev_queue_xmit", EventWay::NextHop);
        assert_eq!(says("link-down", &question), Some(Says::Fits));
        assert_eq!(says("svc-not-listening", &question), None);
    }
}
