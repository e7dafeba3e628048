//! Protocols, states and status bits in conntrack's words.

/// Protocols by the names conntrack gives them.
const PROTOCOLS: &[(u8, &str)] = &[
    (1, "icmp"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (47, "gre"),
    (58, "icmpv6"),
    (132, "sctp"),
    (136, "udplite"),
];

/// `enum tcp_conntrack` (uapi `nf_conntrack_tcp.h`).
const TCP: &[&str] = &[
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
];

/// `enum sctp_conntrack` (uapi `nf_conntrack_sctp.h`).
const SCTP: &[&str] = &[
    "NONE",
    "CLOSED",
    "COOKIE_WAIT",
    "COOKIE_ECHOED",
    "ESTABLISHED",
    "SHUTDOWN_SENT",
    "SHUTDOWN_RECD",
    "SHUTDOWN_ACK_SENT",
    "HEARTBEAT_SENT",
];

/// The states of DCCP in the order of conntrack(8).
const DCCP: &[&str] = &[
    "NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID",
];

/// Status bits (`enum ip_conntrack_status`) that have a word on the command line.
const STATUS: &[(u32, &str)] = &[
    (1, "EXPECTED"),
    (1 << 1, "SEEN_REPLY"),
    (1 << 2, "ASSURED"),
    (1 << 10, "FIXED_TIMEOUT"),
    (1 << 14, "OFFLOAD"),
    (1 << 15, "HW_OFFLOAD"),
];

/// The status bit that a reply was seen.
pub(super) const SEEN_REPLY: u32 = 1 << 1;
/// The status bit that the entry is not given up early.
pub(super) const ASSURED: u32 = 1 << 2;
/// The status bit of a flowtable's entry.
pub(super) const OFFLOAD: u32 = 1 << 14;
/// The status bit of an entry in the network card.
pub(super) const HW_OFFLOAD: u32 = 1 << 15;

/// A protocol's name; conntrack knows no others.
pub(super) fn protocol(number: u8) -> &'static str {
    PROTOCOLS.iter().find(|(one, _)| *one == number).map_or("unknown", |(_, name)| name)
}

/// A protocol by name, or by number.
pub(super) fn protocol_number(word: &str) -> Option<u8> {
    let named = PROTOCOLS.iter().find(|(_, name)| name.eq_ignore_ascii_case(word));
    let alias = || word.eq_ignore_ascii_case("ipv6-icmp").then_some(58);
    named.map(|(number, _)| *number).or_else(alias).or_else(|| word.parse().ok())
}

/// Whether the protocol's tuple has ports.
pub(super) fn has_ports(proto: u8) -> bool {
    matches!(proto, 6 | 17 | 33 | 132 | 136)
}

/// A protocol's states by number.
fn states(proto: u8) -> &'static [&'static str] {
    match proto {
        6 => TCP,
        132 => SCTP,
        33 => DCCP,
        _ => &[],
    }
}

/// The state's name.
pub(super) fn state(proto: u8, number: u8) -> Option<&'static str> {
    states(proto).get(usize::from(number)).copied()
}

/// A state by name. `LISTEN` is the old name of a simultaneous open.
pub(super) fn state_number(proto: u8, word: &str) -> Option<u8> {
    let word = if proto == 6 && word == "LISTEN" { "SYN_SENT2" } else { word };
    states(proto).iter().position(|name| *name == word).and_then(|at| u8::try_from(at).ok())
}

/// The words of the status bits that are set, or `UNSET`.
pub(super) fn status(bits: u32) -> String {
    let words: Vec<&str> = STATUS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| *word).collect();
    if words.is_empty() { "UNSET".to_owned() } else { words.join(",") }
}

/// The bit of a status word.
pub(super) fn status_bit(word: &str) -> Option<u32> {
    STATUS.iter().find(|(_, name)| *name == word).map(|(bit, _)| *bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for proto in [6, 33, 132] {
            for number in 0..=u8::MAX {
                let Some(word) = state(proto, number) else { continue };
                assert_eq!(state_number(proto, word), Some(number), "{word}");
            }
        }
        for (number, name) in PROTOCOLS {
            assert_eq!(protocol_number(name), Some(*number));
        }
        assert_eq!((protocol_number("89"), protocol_number("foo")), (Some(89), None));
        assert_eq!(status(SEEN_REPLY | ASSURED), "SEEN_REPLY,ASSURED");
        assert_eq!(status(0), "UNSET");
    }
}
