//! Rungs: tracepoints in place of kprobes, and raw tracepoints where tracefs is not mounted.

use netwhy_lang::parser::parse;

use crate::kernel::Kernel;

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

/// A script whose tracepoints are read through BTF, for when tracefs is not mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The script; every place in it is where it was.
    pub script: String,
    /// Events that are now raw tracepoints.
    pub events: Vec<String>,
}

/// Turns `tracepoint:CATEGORY:EVENT` into `rawtracepoint:EVENT` where the kernel's types have the event: numbers
/// and formats of records are in tracefs only. Fields then have the names of the event's arguments. A script
/// that does not parse comes back as it is, for the compiler to say why.
#[must_use]
pub fn without_tracefs(script: &str, kernel: &Kernel) -> Rewritten {
    let mut out = Rewritten { script: script.to_owned(), events: Vec::new() };
    if kernel.tracefs().is_some() {
        return out;
    }
    let Ok(tree) = parse(script) else { return out };
    for point in tree.probes.iter().flat_map(|probe| &probe.points) {
        let mut parts = point.text.split(':');
        let (Some("tracepoint" | "t"), Some(_), Some(event), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if kernel.events().binary_search_by(|known| known.as_str().cmp(event)).is_err() {
            continue;
        }
        let place = point.span.start as usize..point.span.end as usize;
        // Filled up to the old length, so that errors still point where the user wrote.
        let short = format!("rt:{event}");
        if out.script.get(place.clone()) == Some(point.text.as_str()) && short.len() <= place.len() {
            let filled = format!("{short:<width$}", width = place.len());
            out.script.replace_range(place, &filled);
            out.events.push(event.to_owned());
        }
    }
    out
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
