//! Rungs: tracepoints in place of kprobes, and raw tracepoints where tracefs is not mounted.

use netwhy_lang::parser::parse;
use netwhy_lang::types::Instead;

use crate::kernel::Kernel;

/// A tracepoint that sees what a kprobe on a function would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// The function.
    pub function: &'static str,
    /// Whether the function's return is meant.
    pub returns: bool,
    /// The probe in its place.
    pub point: &'static str,
    /// When it counts.
    pub when: Option<&'static str>,
    /// What the function's arguments are there.
    pub values: &'static [(&'static str, &'static str)],
    /// What is lost or different.
    pub lost: &'static str,
}

const STATE: &str = "rawtracepoint:inet_sock_set_state";
const RECEIVE: &str = "rawtracepoint:netif_receive_skb";
const SK: &[(&str, &str)] = &[("arg0", "args.sk")];
const SKB: &[(&str, &str)] = &[("arg0", "args.skb")];

const fn entry(
    function: &'static str,
    point: &'static str,
    when: Option<&'static str>,
    values: &'static [(&'static str, &'static str)],
    lost: &'static str,
) -> Rung {
    Rung { function, returns: false, point, when, values, lost }
}

const fn back(
    function: &'static str,
    point: &'static str,
    when: Option<&'static str>,
    values: &'static [(&'static str, &'static str)],
    lost: &'static str,
) -> Rung {
    Rung { function, returns: true, point, when, values, lost }
}

/// Functions people probe and the tracepoints nearest to them. docs/ladder.md is made from it.
pub const RUNGS: &[Rung] = &[
    entry("tcp_connect", STATE, Some("args.newstate == 2"), SK, "the source port may not be chosen yet"),
    entry(
        "tcp_v4_connect",
        STATE,
        Some("args.newstate == 2 && args.sk->__sk_common.skc_family == 2"),
        SK,
        "attempts that fail before a SYN is made are not seen",
    ),
    entry(
        "tcp_v6_connect",
        STATE,
        Some("args.newstate == 2 && args.sk->__sk_common.skc_family == 10"),
        SK,
        "attempts that fail before a SYN is made are not seen",
    ),
    back(
        "tcp_connect",
        "tracepoint:syscalls:sys_exit_connect",
        None,
        &[("retval", "args.ret")],
        "the end of connect(2): waiting included, every family, its result",
    ),
    back(
        "tcp_v4_connect",
        "tracepoint:syscalls:sys_exit_connect",
        None,
        &[("retval", "args.ret")],
        "the end of connect(2): waiting included, every family, its result",
    ),
    back(
        "tcp_v6_connect",
        "tracepoint:syscalls:sys_exit_connect",
        None,
        &[("retval", "args.ret")],
        "the end of connect(2): waiting included, every family, its result",
    ),
    entry(
        "tcp_set_state",
        STATE,
        None,
        &[("arg0", "args.sk"), ("arg1", "args.newstate")],
        "sockets of protocols other than TCP and MPTCP come too",
    ),
    entry(
        "tcp_close",
        STATE,
        Some("args.newstate == 4 || args.newstate == 7 && args.oldstate != 4 && args.oldstate != 5"),
        SK,
        "the first step of closing, by whoever closes",
    ),
    entry("tcp_fin", STATE, Some("args.newstate == 8"), SK, "a FIN on an established connection only"),
    entry(
        "inet_csk_accept",
        "tracepoint:syscalls:sys_enter_accept4",
        None,
        &[],
        "accept4(2) of every family",
    ),
    back(
        "inet_csk_accept",
        STATE,
        Some("args.oldstate == 3 && args.newstate == 1"),
        &[("retval", "args.sk")],
        "when the handshake is done, without the accepting process",
    ),
    entry(
        "tcp_sendmsg",
        "rawtracepoint:sock_send_length",
        Some(
            "args.sk->__sk_common.skc_family == 2 && args.sk->sk_protocol == 6 || args.sk->__sk_common.skc_family == 10 && args.sk->sk_protocol == 6",
        ),
        &[("arg0", "args.sk"), ("arg2", "args.ret")],
        "after the call: bytes taken (or the error) instead of bytes asked for; Linux 6.3",
    ),
    back(
        "tcp_sendmsg",
        "rawtracepoint:sock_send_length",
        Some("args.sk->sk_protocol == 6"),
        &[("retval", "args.ret")],
        "nothing is lost; Linux 6.3",
    ),
    entry(
        "tcp_recvmsg",
        "rawtracepoint:sock_recv_length",
        Some("args.sk->sk_protocol == 6"),
        &[("arg0", "args.sk"), ("arg2", "args.ret")],
        "after the call: bytes given instead of room; Linux 6.3",
    ),
    back(
        "tcp_recvmsg",
        "rawtracepoint:sock_recv_length",
        Some("args.sk->sk_protocol == 6"),
        &[("retval", "args.ret")],
        "nothing is lost; Linux 6.3",
    ),
    entry(
        "udp_sendmsg",
        "rawtracepoint:sock_send_length",
        Some("args.sk->sk_protocol == 17"),
        &[("arg0", "args.sk"), ("arg2", "args.ret")],
        "after the call: bytes taken (or the error) instead of bytes asked for; Linux 6.3",
    ),
    entry(
        "udp_recvmsg",
        "rawtracepoint:sock_recv_length",
        Some("args.sk->sk_protocol == 17"),
        &[("arg0", "args.sk"), ("arg2", "args.ret")],
        "after the call: bytes given instead of room; Linux 6.3",
    ),
    entry(
        "tcp_cleanup_rbuf",
        "rawtracepoint:sock_recv_length",
        Some("args.sk->sk_protocol == 6 && args.ret > 0"),
        &[("arg0", "args.sk"), ("arg1", "args.ret")],
        "reads that gave something; Linux 6.3",
    ),
    entry(
        "tcp_rcv_established",
        "rawtracepoint:tcp_probe",
        None,
        &[("arg0", "args.sk"), ("arg1", "args.skb")],
        "nothing is lost",
    ),
    entry(
        "tcp_retransmit_skb",
        "rawtracepoint:tcp_retransmit_skb",
        None,
        &[("arg0", "args.sk"), ("arg1", "args.skb")],
        "after it was sent; failed ones only from Linux 6.13 on",
    ),
    entry(
        "__tcp_retransmit_skb",
        "rawtracepoint:tcp_retransmit_skb",
        None,
        &[("arg0", "args.sk"), ("arg1", "args.skb")],
        "after it was sent; failed ones only from Linux 6.13 on",
    ),
    entry(
        "tcp_send_active_reset",
        "rawtracepoint:tcp_send_reset",
        Some("args.skb == 0"),
        SK,
        "nothing is lost",
    ),
    entry(
        "tcp_v4_send_reset",
        "rawtracepoint:tcp_send_reset",
        Some("args.skb != 0"),
        &[("arg0", "args.sk"), ("arg1", "args.skb")],
        "IPv6 comes too",
    ),
    entry("tcp_reset", "rawtracepoint:tcp_receive_reset", None, SK, "nothing is lost"),
    entry("tcp_v4_destroy_sock", "rawtracepoint:tcp_destroy_sock", None, SK, "IPv6 comes too"),
    entry(
        "tcp_drop",
        "rawtracepoint:kfree_skb",
        Some("args.skb->protocol != 0"),
        &[("arg1", "args.skb")],
        "every protocol; filter by args.reason",
    ),
    entry(
        "tcp_drop_reason",
        "rawtracepoint:kfree_skb",
        Some("args.skb->protocol != 0"),
        &[("arg1", "args.skb"), ("arg2", "args.reason")],
        "every protocol",
    ),
    entry("kfree_skb", "rawtracepoint:kfree_skb", None, SKB, "nothing is lost"),
    entry(
        "kfree_skb_reason",
        "rawtracepoint:kfree_skb",
        None,
        &[("arg0", "args.skb"), ("arg1", "args.reason")],
        "nothing is lost",
    ),
    entry(
        "sk_skb_reason_drop",
        "rawtracepoint:kfree_skb",
        None,
        &[("arg1", "args.skb"), ("arg2", "args.reason")],
        "nothing is lost",
    ),
    entry("consume_skb", "rawtracepoint:consume_skb", None, SKB, "nothing is lost"),
    entry(
        "__netif_receive_skb_core",
        RECEIVE,
        None,
        SKB,
        "once a packet, not once a device it is handed on to",
    ),
    entry("netif_receive_skb", RECEIVE, None, SKB, "packets that come by other ways are seen too"),
    entry(
        "ip_rcv",
        RECEIVE,
        Some("args.skb->protocol == 0x0008"),
        SKB,
        "before the device's own hooks, which may still take or drop it",
    ),
    entry(
        "ipv6_rcv",
        RECEIVE,
        Some("args.skb->protocol == 0xdd86"),
        SKB,
        "before the device's own hooks, which may still take or drop it",
    ),
    entry(
        "tcp_v4_rcv",
        "rawtracepoint:tcp_probe",
        Some("args.sk->__sk_common.skc_family == 2"),
        &[("arg0", "args.skb")],
        "established connections only",
    ),
    entry(
        "tcp_v6_rcv",
        "rawtracepoint:tcp_probe",
        Some("args.sk->__sk_common.skc_family == 10"),
        &[("arg0", "args.skb")],
        "established connections only",
    ),
    back(
        "__netif_receive_skb_core",
        "rawtracepoint:napi_poll",
        None,
        &[],
        "the end of the poll that brought the packet: the last packet's time covers all after it",
    ),
    back(
        "ip_rcv",
        "rawtracepoint:napi_poll",
        None,
        &[],
        "the end of the poll that brought the packet: the last packet's time covers all after it",
    ),
    back(
        "tcp_v4_rcv",
        "rawtracepoint:napi_poll",
        None,
        &[],
        "the end of the poll that brought the packet: the last packet's time covers all after it",
    ),
    entry("dev_queue_xmit", "rawtracepoint:net_dev_queue", None, SKB, "nothing is lost"),
    entry("__dev_queue_xmit", "rawtracepoint:net_dev_queue", None, SKB, "nothing is lost"),
    entry(
        "dev_hard_start_xmit",
        "rawtracepoint:net_dev_start_xmit",
        None,
        SKB,
        "each packet of a list by itself",
    ),
    entry(
        "icmp_send",
        "rawtracepoint:icmp_send",
        None,
        &[("arg0", "args.skb"), ("arg1", "args.type"), ("arg2", "args.code")],
        "Linux 6.10",
    ),
    entry("neigh_update", "rawtracepoint:neigh_update", None, &[("arg0", "args.n")], "nothing is lost"),
    entry(
        "fib_table_lookup",
        "rawtracepoint:fib_table_lookup",
        None,
        &[("arg1", "args.flp")],
        "after the lookup",
    ),
];

/// The text of docs/ladder.md.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# The ladder\n\nWhere a kernel has no kprobes, `kprobe:` and `kretprobe:` on these functions are taken as the probe beside\n\
         them: the body runs when the condition holds, and `arg0`, `retval` and so on are what the last column but one says.\n\
         Another argument than those is an error that says so. Each run names on standard error which rung was taken and\n\
         what is lost. Made from `crates/netwhy-bpf/src/ladder.rs` by its test.\n\n\
         | probe | taken as | when | values | what is lost |\n|---|---|---|---|---|\n",
    );
    let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
    for rung in RUNGS {
        let provider = if rung.returns { "kretprobe" } else { "kprobe" };
        let values: Vec<String> =
            rung.values.iter().map(|(name, value)| code(&format!("{name} = {value}"))).collect();
        out += &format!(
            "| {} | {} | {} | {} | {} |\n",
            code(&format!("{provider}:{}", rung.function)),
            code(rung.point),
            rung.when.map_or("always".to_owned(), code),
            if values.is_empty() { "-".to_owned() } else { values.join(", ") },
            rung.lost
        );
    }
    out
}

/// The rung for a function's entry.
#[must_use]
pub fn instead_of(function: &str) -> Option<&'static Rung> {
    RUNGS.iter().find(|rung| rung.function == function && !rung.returns)
}

/// The rung of a probe, when this kernel has no kprobes but the rung's tracepoint.
#[must_use]
pub fn instead(provider: &str, function: &str, kernel: &Kernel) -> Option<Instead> {
    let returns = match provider {
        "kprobe" => false,
        "kretprobe" => true,
        _ => return None,
    };
    let rung = RUNGS.iter().find(|rung| rung.function == function && rung.returns == returns)?;
    if kernel.probing().kprobe().yes() || !reachable(rung, kernel) {
        return None;
    }
    kernel.note(format!(
        "no kprobes in this kernel: {provider}:{function} is taken as {} ({})",
        rung.point, rung.lost
    ));
    Some(Instead {
        point: rung.point.to_owned(),
        when: rung.when.map(str::to_owned),
        values: rung.values.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
    })
}

/// Whether this kernel has the rung's tracepoint.
pub(crate) fn reachable(rung: &Rung, kernel: &Kernel) -> bool {
    let mut parts = rung.point.split(':').skip(1);
    match (parts.next(), parts.next()) {
        (Some(category), Some(event)) => {
            kernel.tracefs().is_some_and(|tracefs| tracefs.exists(category, event))
        }
        (Some(event), None) => kernel.events().binary_search_by(|known| known.as_str().cmp(event)).is_ok(),
        _ => false,
    }
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
    fn the_page_shows_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ladder.md");
        let old = std::fs::read_to_string(path).unwrap_or_default();
        if old != page() {
            std::fs::write(path, page()).unwrap();
            panic!("docs/ladder.md was stale and is written anew: read the difference and run this again");
        }
    }

    #[test]
    fn no_probe_has_two_rungs() {
        for (at, rung) in RUNGS.iter().enumerate() {
            let same = |other: &&Rung| (other.function, other.returns) == (rung.function, rung.returns);
            assert!(!RUNGS.iter().skip(at + 1).any(|other| same(&other)), "{}", rung.function);
        }
    }

    #[test]
    fn the_table_is_looked_up_by_function() {
        assert_eq!(instead_of("tcp_set_state").map(|rung| rung.point), Some(STATE));
        assert_eq!(instead_of("no_such_function"), None);
    }
}
