//! Tracepoints that see what well-known kprobes on network functions see.

/// Function, event, and what is lost or different there.
const TABLE: [(&str, &str, &str); 12] = [
    ("tcp_connect", "inet_sock_set_state", "newstate 2 (SYN_SENT); the source port may not be chosen yet"),
    ("tcp_v4_connect", "inet_sock_set_state", "newstate 2 (SYN_SENT); failures before it are not seen"),
    ("tcp_v6_connect", "inet_sock_set_state", "newstate 2 (SYN_SENT); failures before it are not seen"),
    ("tcp_set_state", "inet_sock_set_state", "nothing is lost"),
    ("inet_csk_accept", "inet_sock_set_state", "newstate 1 (ESTABLISHED); without the accepting process"),
    ("tcp_sendmsg", "sock_send_length", "the result instead of the request; Linux 6.3"),
    ("tcp_recvmsg", "sock_recv_length", "the result instead of the request; Linux 6.3"),
    ("tcp_rcv_established", "tcp_probe", "established sockets with data only"),
    ("tcp_retransmit_skb", "tcp_retransmit_skb", "nothing is lost"),
    ("tcp_drop", "kfree_skb", "all protocols; filter by reason"),
    ("kfree_skb", "kfree_skb", "nothing is lost"),
    ("ip_rcv", "netif_receive_skb", "all protocols, before IP"),
];

/// The event to use instead of a function, and what differs.
#[must_use]
pub fn instead_of(function: &str) -> Option<(&'static str, &'static str)> {
    TABLE.iter().find(|(name, ..)| *name == function).map(|(_, event, lost)| (*event, *lost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_looked_up_by_function() {
        assert_eq!(instead_of("tcp_set_state").map(|(event, _)| event), Some("inet_sock_set_state"));
        assert_eq!(instead_of("no_such_function"), None);
    }
}
