//! Devices: statistics (struct rtnl_link_stats64), flags (IFF_*) and operational states (RFC 2863).

use crate::explain::row::{Row, event, gauge, octets, pkt, word};

#[rustfmt::skip]
pub(super) static STATS: &[Row] = &[
    pkt("rx_packets", "Frames received well.").by("the driver"),
    pkt("tx_packets", "Frames sent well.").by("the driver").not("frames that reached the peer"),
    octets("rx_bytes", "Octets of received frames, link-layer header included.").by("the driver"),
    octets("tx_bytes", "Octets of sent frames, link-layer header included.").by("the driver"),
    pkt("rx_errors", "Frames received with an error; the sum of the detailed receive errors.").by("the driver").see(&["cable-or-optic", "nic-ring-overrun"]),
    pkt("tx_errors", "Frames that could not be sent; the sum of the detailed send errors.").by("the driver").see(&["tx-driver"]),
    pkt("rx_dropped", "Frames received well and thrown away in software: nobody handles the protocol or the VLAN, no memory, or a full backlog.").by("__netif_receive_skb_core, enqueue_to_backlog, the driver")
        .not("loss of your traffic: LLDP, STP and unknown VLANs raise it all day; look at what the frames are").see(&["benign-rx-dropped", "cpu-backlog"]),
    pkt("tx_dropped", "Frames thrown away on their way out: qdisc, driver, or no carrier.").by("__dev_queue_xmit, the driver").see(&["egress-qdisc", "tx-driver", "link-down"]),
    pkt("multicast", "Multicast frames received.").by("the driver").alias(&["rx_multicast"]),
    event("collisions", "Collisions of a half-duplex link.").by("the driver").not("normal: on a switched link any collision means that one end runs half duplex").see(&["link-speed-duplex"]),
    pkt("rx_length_errors", "Frames too short or too long.").by("the driver").not("a broken cable: mostly a peer with a larger MTU").see(&["local-mtu", "mtu-below-ipv6-minimum"]),
    pkt("rx_over_errors", "Frames lost because the card's buffer overran.").by("the driver").see(&["nic-ring-overrun"]),
    pkt("rx_crc_errors", "Frames with a wrong checksum (FCS): cable, optic, connector, or a duplex mismatch.").by("the driver").not("congestion").see(&["cable-or-optic"]),
    pkt("rx_frame_errors", "Frames that do not end on an octet boundary.").by("the driver").see(&["cable-or-optic", "link-speed-duplex"]),
    pkt("rx_fifo_errors", "Frames lost because the card's FIFO or ring was full.").by("the driver").see(&["nic-ring-overrun"]),
    pkt("rx_missed_errors", "Frames lost because the host gave the card no buffer in time: the ring was full.").by("the driver")
        .not("network loss: the frames came as far as the card").see(&["nic-ring-overrun", "softirq-starved"]),
    pkt("tx_aborted_errors", "Frames given up, for example after too many collisions.").by("the driver"),
    pkt("tx_carrier_errors", "Frames lost because the carrier was gone.").by("the driver").see(&["link-down", "link-flap"]),
    pkt("tx_fifo_errors", "Frames lost because the card could not fetch them fast enough.").by("the driver").see(&["tx-driver"]),
    pkt("tx_heartbeat_errors", "Frames without the heartbeat of very old Ethernet.").by("the driver"),
    pkt("tx_window_errors", "Frames lost to late collisions.").by("the driver").see(&["link-speed-duplex"]),
    pkt("rx_compressed", "Compressed frames received (PPP, SLIP).").by("the driver"),
    pkt("tx_compressed", "Compressed frames sent (PPP, SLIP).").by("the driver"),
    pkt("rx_nohandler", "Frames dropped because they arrived on a device that is not to receive, such as a bond's inactive member.").by("__netif_receive_skb_core").see(&["benign-rx-dropped", "vlan-mismatch", "bridge-port-blocked"]),
    pkt("rx_otherhost_dropped", "Unicast frames for another MAC address, dropped. Absent on older kernels.").by("ip_rcv_core, ip6_rcv_core").not("loss of your traffic: promiscuous mode or a flooding switch brings them").see(&["benign-rx-dropped"]),
    event("carrier_changes", "Times the carrier came or went.").by("linkwatch_fire_event").not("since today: it counts from the device's creation").see(&["link-flap"]),
    event("carrier_up_count", "Times the carrier came.").by("netif_carrier_on").see(&["link-flap"]),
    event("carrier_down_count", "Times the carrier went.").by("netif_carrier_off").see(&["link-flap"]),
    pkt("qdisc drops", "Packets the qdisc refused: its queue was full, or it chose to (AQM, rate, rule).").by("qdisc_drop, qdisc_qstats_drop").see(&["egress-qdisc"]),
    event("qdisc overlimits", "Times a shaper had to hold a packet back.").by("qdisc_qstats_overlimit").not("loss: the packet waits; only drops are lost").see(&["egress-qdisc"]),
    event("qdisc requeues", "Times a packet went back to the queue because the driver had no room.").by("dev_requeue_skb"),
    gauge("qdisc backlog", "octets and packets", "What waits in the qdisc now.").by("qdisc_qstats_copy").see(&["local-queue", "bufferbloat"]),
];

#[rustfmt::skip]
pub(super) static FLAGS: &[Row] = &[
    word("UP", "The device is switched on (IFF_UP). A device without it neither sends nor receives.").not("a working link: LOWER_UP and the operational state say that").see(&["link-down"]),
    word("LOWER_UP", "The driver sees a carrier (IFF_LOWER_UP).").not("reachability: a switch port in the wrong VLAN has a carrier too"),
    word("NO-CARRIER", "The device is on and has no carrier: no cable, peer off, or auto-negotiation failed.").see(&["link-down"]).alias(&["no_carrier"]),
    word("RUNNING", "The operational state is UP or unknown (IFF_RUNNING)."),
    word("DORMANT", "The driver waits for something, for example 802.1X (IFF_DORMANT)."),
    word("BROADCAST", "The link has a broadcast address (IFF_BROADCAST)."),
    word("MULTICAST", "The device can do multicast (IFF_MULTICAST)."),
    word("ALLMULTI", "The device receives every multicast frame (IFF_ALLMULTI)."),
    word("PROMISC", "The device receives every frame, also those for others (IFF_PROMISC). Captures do not set this flag visibly; bridges do.").see(&["benign-rx-dropped"]),
    word("NOARP", "The device resolves no neighbours (IFF_NOARP): point-to-point, or switched off on purpose.").see(&["noarp"]),
    word("POINTOPOINT", "The device has exactly one peer (IFF_POINTOPOINT): next hops need no resolution."),
    word("LOOPBACK", "The loopback device (IFF_LOOPBACK)."),
    word("SLAVE", "The device belongs to a bond (IFF_SLAVE)."),
    word("MASTER", "The device is a bond (IFF_MASTER)."),
    word("DYNAMIC", "The device comes and goes, its addresses with it (IFF_DYNAMIC)."),
    word("DEBUG", "The driver was asked for debugging output (IFF_DEBUG)."),
    word("NOTRAILERS", "Of historical interest (IFF_NOTRAILERS)."),
    word("PORTSEL", "The driver can choose its medium (IFF_PORTSEL)."),
    word("AUTOMEDIA", "The driver chooses its medium by itself (IFF_AUTOMEDIA)."),
    word("ECHO", "Frames sent are echoed to the sender (IFF_ECHO, CAN)."),
];

#[rustfmt::skip]
pub(super) static OPERSTATES: &[Row] = &[
    word("IF_OPER_UP", "Ready for traffic.").not("proof that the peer hears us").alias(&["operstate up"]),
    word("IF_OPER_DOWN", "Not ready: no carrier, or switched off.").see(&["link-down"]).alias(&["operstate down"]),
    word("IF_OPER_LOWERLAYERDOWN", "The device below it is down: a VLAN, bond or tunnel on a dead link.").see(&["link-down", "vlan-mismatch", "bridge-port-blocked"]).alias(&["lowerlayerdown"]),
    word("IF_OPER_UNKNOWN", "The driver does not say; treated as up (loopback, tunnels, tun).").alias(&["operstate unknown"]).not("down"),
    word("IF_OPER_DORMANT", "The link is there and waits for something, such as 802.1X.").alias(&["operstate dormant"]),
    word("IF_OPER_TESTING", "The link is under test, such as a cable diagnosis.").alias(&["operstate testing"]),
    word("IF_OPER_NOTPRESENT", "The hardware is gone.").alias(&["notpresent"]),
];
