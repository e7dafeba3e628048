//! States of neighbours (linux/neighbour.h, NUD_*), TCP sockets (RFC 9293) and types of routes (linux/rtnetlink.h, RTN_*).

use crate::explain::row::{Row, word};

#[rustfmt::skip]
pub(super) static NUD: &[Row] = &[
    word("INCOMPLETE", "The address is being looked for; packets wait in a short queue (neigh/DEV/unres_qlen_bytes).").alias(&["NUD_INCOMPLETE"]).not("a fault at once: it lasts a few round trips, then becomes REACHABLE or FAILED").see(&["neigh-unresolved"]),
    word("REACHABLE", "The neighbour answered lately (base_reachable_time, about 30 s).").alias(&["NUD_REACHABLE"]).not("the right machine: a wrong or duplicate owner answers too").see(&["duplicate-ip"]),
    word("STALE", "The link-layer address is known and not confirmed lately; used, and checked when needed.").alias(&["NUD_STALE"]).not("a fault: idle entries are stale"),
    word("DELAY", "A packet was sent to a stale entry; if nothing confirms it within delay_first_probe_time (5 s), probes follow.").alias(&["NUD_DELAY"]),
    word("PROBE", "The known address is being asked whether it is still there.").alias(&["NUD_PROBE"]),
    word("FAILED", "Nobody answered for the address. Packets to it fail with EHOSTUNREACH.").alias(&["NUD_FAILED"]).see(&["neigh-unresolved", "duplicate-ip"]),
    word("NOARP", "No resolution is needed or wanted for this entry.").alias(&["NUD_NOARP"]),
    word("PERMANENT", "Set by hand; never checked, never replaced.").alias(&["NUD_PERMANENT"]).not("right for ever: after the peer's card changed it is a black hole").see(&["neigh-static-wrong"]),
    word("NONE", "A new entry nobody has used yet.").alias(&["NUD_NONE"]),
];

#[rustfmt::skip]
pub(super) static TCP: &[Row] = &[
    word("LISTEN", "Waits for connections. Recv-Q is the accept queue's length now, Send-Q its limit: the smaller of listen()'s argument and net.core.somaxconn.").see(&["accept-queue-full", "svc-bound-elsewhere"]),
    word("SYN-SENT", "A SYN is out and nothing has come back.").alias(&["SYN_SENT"]).see(&["path-or-remote-drop", "fw-drop-outbound", "neigh-unresolved"]),
    word("SYN-RECV", "A SYN was answered with SYN-ACK; the final ACK is missing.").alias(&["SYN_RECV", "SYN-RECEIVED", "NEW_SYN_RECV"]).see(&["syn-queue-full", "reply-lost-upstream"]),
    word("ESTAB", "Connected. Recv-Q is data the program has not read, Send-Q data the peer has not acknowledged.").alias(&["ESTABLISHED", "TCP ESTABLISHED"]),
    word("FIN-WAIT-1", "This side closed; its FIN is not acknowledged yet.").alias(&["FIN_WAIT1", "FIN-WAIT1"]),
    word("FIN-WAIT-2", "This side closed and the peer knows; the peer has not closed. Orphans wait net.ipv4.tcp_fin_timeout.").alias(&["FIN_WAIT2", "FIN-WAIT2"]).see(&["fin-wait2-orphans"]),
    word("CLOSE-WAIT", "The peer closed; this side's program has not. Many old ones are a leak in the program.").alias(&["CLOSE_WAIT"]).not("something the kernel could time out").see(&["close-wait-leak"]),
    word("CLOSING", "Both closed at once; waiting for the last ACK."),
    word("LAST-ACK", "Both closed; our FIN is not acknowledged yet.").alias(&["LAST_ACK"]),
    word("TIME-WAIT", "Closed properly; the tuple rests for 60 s so that late segments hurt nobody.").alias(&["TIME_WAIT"]).not("a leak: it is normal and costs little; ss writes it with a hyphen, so grep TIME_WAIT finds none").see(&["timewait-normal", "ephemeral-exhausted", "tw-collision"]),
    word("UNCONN", "A socket without a connection: UDP that only receives, or TCP not yet connected.").alias(&["CLOSE"]),
];

#[rustfmt::skip]
pub(super) static ROUTES: &[Row] = &[
    word("unicast", "An ordinary route: to a gateway or a link.").alias(&["RTN_UNICAST"]),
    word("local", "The address is this host's own.").alias(&["RTN_LOCAL"]),
    word("broadcast", "A broadcast address of a link.").alias(&["RTN_BROADCAST"]),
    word("anycast", "An anycast address this host answers for.").alias(&["RTN_ANYCAST"]),
    word("multicast", "Multicast.").alias(&["RTN_MULTICAST"]),
    word("blackhole", "Packets vanish without a word. A local sender gets EINVAL.").alias(&["RTN_BLACKHOLE"]).see(&["route-type-deny"]),
    word("unreachable", "Packets are refused with ICMP host unreachable (3/1). A local sender gets EHOSTUNREACH.").alias(&["RTN_UNREACHABLE"]).not("a dead neighbour: that takes about 3 s, this is immediate").see(&["route-type-deny"]),
    word("prohibit", "Packets are refused with ICMP administratively prohibited (3/13). A local sender gets EACCES.").alias(&["RTN_PROHIBIT"]).see(&["route-type-deny"]),
    word("throw", "This table gives no answer; the next policy rule is asked.").alias(&["RTN_THROW"]),
    word("nat", "Stateless route NAT; gone since Linux 2.6.").alias(&["RTN_NAT"]),
    word("xresolve", "An external resolver should decide; not implemented.").alias(&["RTN_XRESOLVE"]),
];
