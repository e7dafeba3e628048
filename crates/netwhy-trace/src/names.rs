//! Names of the numbers in records: states, flags, errors, users, times.

use std::collections::HashMap;

use netwhy_sys::Errno;
use netwhy_sys::clock;
use netwhy_sys::procfs::Tree;

/// What has been looked up, and when the run began.
#[derive(Debug)]
pub(crate) struct Names {
    users: Option<HashMap<u64, String>>,
    number: String,
    /// Nanoseconds from the epoch to boot.
    boot: i128,
    /// The second `clock` shows.
    second: i64,
    clock: String,
    first: Option<u64>,
}

/// `TCP_*` of linux/tcp_states.h.
const STATES: [&str; 13] = [
    "-",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];
/// Bits of the flags of a segment, lowest first.
const FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
/// `enum tcp_ca_state`.
const CONGESTION: [&str; 5] = ["open", "disorder", "cwr", "recovery", "loss"];
/// Softirqs in the order of linux/interrupt.h.
const SOFTIRQS: [&str; 10] =
    ["hi", "timer", "net_tx", "net_rx", "block", "irq_poll", "tasklet", "sched", "hrtimer", "rcu"];
/// `NUD_*` of linux/neighbour.h, lowest bit first.
const NEIGHBOUR: [&str; 8] =
    ["INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "NOARP", "PERMANENT"];

fn of(table: &[&str], n: i128) -> String {
    let known = usize::try_from(n).ok().and_then(|n| table.get(n));
    known.map_or_else(|| n.to_string(), |name| (*name).to_owned())
}

impl Names {
    pub(crate) fn new() -> Self {
        let now = clock::realtime().as_nanos() as i128;
        Names {
            users: None,
            number: String::new(),
            boot: now - clock::since_boot().as_nanos() as i128,
            second: i64::MIN,
            clock: String::new(),
            first: None,
        }
    }

    /// Time of day of nanoseconds since boot.
    pub(crate) fn wall(&mut self, since_boot: u64) -> &str {
        let second = i64::try_from((self.boot + i128::from(since_boot)) / 1_000_000_000).unwrap_or(0);
        if second != self.second {
            self.second = second;
            self.clock = clock::local_time(second, "%H:%M:%S").unwrap_or_else(|_| second.to_string());
        }
        &self.clock
    }

    /// Nanoseconds after the first that was asked about.
    pub(crate) fn since(&mut self, since_boot: u64) -> u64 {
        since_boot.saturating_sub(*self.first.get_or_insert(since_boot))
    }

    /// Name of a user, the number when there is none.
    pub(crate) fn user(&mut self, uid: u64) -> &str {
        let users = self.users.get_or_insert_with(|| {
            let text = Tree::at("/").read("etc/passwd").unwrap_or_default();
            let user = |line: &str| {
                let mut parts = line.split(':');
                let name = parts.next()?.to_owned();
                Some((parts.nth(1)?.parse().ok()?, name))
            };
            text.lines().filter_map(user).collect()
        });
        match users.get(&uid) {
            Some(name) => name,
            None => {
                self.number = uid.to_string();
                &self.number
            }
        }
    }

    pub(crate) fn tcp_state(n: i128) -> String {
        of(&STATES, n)
    }

    pub(crate) fn tcp_flags(n: i128) -> String {
        let set: Vec<&str> =
            FLAGS.iter().enumerate().filter(|(bit, _)| n >> bit & 1 == 1).map(|(_, name)| *name).collect();
        set.join("|")
    }

    /// `0` for none; the sign does not matter.
    pub(crate) fn errno(n: i128) -> String {
        match i32::try_from(n.abs()) {
            Ok(0) => "0".to_owned(),
            Ok(n) if Errno::new(n).name() != "errno" => Errno::new(n).name().to_owned(),
            _ => n.to_string(),
        }
    }

    pub(crate) fn congestion(n: i128) -> String {
        of(&CONGESTION, n)
    }

    pub(crate) fn softirq(n: i128) -> String {
        of(&SOFTIRQS, n)
    }

    pub(crate) fn protocol(n: i128) -> String {
        match n {
            1 => "ICMP".to_owned(),
            6 => "TCP".to_owned(),
            17 => "UDP".to_owned(),
            58 => "ICMPv6".to_owned(),
            132 => "SCTP".to_owned(),
            262 => "MPTCP".to_owned(),
            n => n.to_string(),
        }
    }

    pub(crate) fn neighbour(n: i128) -> String {
        match n {
            0 => "NONE".to_owned(),
            n => {
                let bit = NEIGHBOUR.iter().enumerate().find(|(bit, _)| n == 1 << bit);
                bit.map_or_else(|| format!("{n:#x}"), |(_, name)| (*name).to_owned())
            }
        }
    }

    pub(crate) fn socket_type(n: i128) -> String {
        of(&["0", "STREAM", "DGRAM", "RAW", "RDM", "SEQPACKET", "DCCP"], n)
    }

    pub(crate) fn family(n: i128) -> String {
        match n {
            1 => "UNIX".to_owned(),
            2 => "INET".to_owned(),
            10 => "INET6".to_owned(),
            16 => "NETLINK".to_owned(),
            17 => "PACKET".to_owned(),
            40 => "VSOCK".to_owned(),
            n => n.to_string(),
        }
    }

    /// An ICMP error by type and code (RFC 792, RFC 1812).
    pub(crate) fn icmp(n: i128) -> String {
        let name = match (n / 256, n % 256) {
            (3, 0) => "net-unreachable",
            (3, 1) => "host-unreachable",
            (3, 2) => "protocol-unreachable",
            (3, 3) => "port-unreachable",
            (3, 4) => "fragmentation-needed",
            (3, 5) => "source-route-failed",
            (3, 9) => "net-prohibited",
            (3, 10) => "host-prohibited",
            (3, 13) => "admin-prohibited",
            (5, 0 | 1) => "redirect",
            (11, 0) => "ttl-exceeded",
            (11, 1) => "reassembly-exceeded",
            (12, _) => "parameter-problem",
            (kind, code) => return format!("type {kind} code {code}"),
        };
        name.to_owned()
    }

    /// Code of a DNS answer (RFC 1035, RFC 2136); 4096 is ours: the query was sent again.
    pub(crate) fn rcode(n: i128) -> String {
        match n {
            4096 => "RETRY".to_owned(),
            n => of(
                &[
                    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
                    "NXRRSET", "NOTAUTH", "NOTZONE",
                ],
                n,
            ),
        }
    }

    /// Name and type of a question, as far as the bytes go.
    pub(crate) fn dns_question(bytes: &[u8]) -> (String, String) {
        let mut name = String::new();
        let mut rest = bytes;
        loop {
            let Some((&length, after)) = rest.split_first() else { return (name + "...", "-".to_owned()) };
            rest = after;
            if length == 0 {
                break;
            }
            // A question's name is never compressed: anything longer is no label.
            let Some((label, after)) = rest.split_at_checked(usize::from(length)).filter(|_| length < 64)
            else {
                return (name + "...", "-".to_owned());
            };
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(&String::from_utf8_lossy(label));
            rest = after;
        }
        let kind = match rest.first_chunk::<2>().map(|b| u16::from_be_bytes(*b)) {
            None => "-".to_owned(),
            Some(1) => "A".to_owned(),
            Some(2) => "NS".to_owned(),
            Some(5) => "CNAME".to_owned(),
            Some(6) => "SOA".to_owned(),
            Some(12) => "PTR".to_owned(),
            Some(15) => "MX".to_owned(),
            Some(16) => "TXT".to_owned(),
            Some(28) => "AAAA".to_owned(),
            Some(33) => "SRV".to_owned(),
            Some(43) => "DS".to_owned(),
            Some(48) => "DNSKEY".to_owned(),
            Some(64) => "SVCB".to_owned(),
            Some(65) => "HTTPS".to_owned(),
            Some(255) => "ANY".to_owned(),
            Some(n) => n.to_string(),
        };
        (if name.is_empty() { ".".to_owned() } else { name }, kind)
    }

    pub(crate) fn ethertype(n: i128) -> String {
        match n {
            0x0800 => "IPv4".to_owned(),
            0x0806 => "ARP".to_owned(),
            0x86dd => "IPv6".to_owned(),
            0x8100 => "VLAN".to_owned(),
            n => format!("{n:#06x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_kernels_names() {
        assert_eq!(Names::tcp_state(2), "SYN_SENT");
        assert_eq!(Names::tcp_state(99), "99");
        assert_eq!(Names::tcp_flags(0x12), "SYN|ACK");
        assert_eq!(Names::errno(-111), "ECONNREFUSED");
        assert_eq!(Names::errno(0), "0");
        assert_eq!(Names::neighbour(0x20), "FAILED");
        assert_eq!(Names::neighbour(3), "0x3");
        assert_eq!(Names::new().user(0), "root");
        assert_eq!(Names::new().user(4_000_000_000), "4000000000");
    }

    #[test]
    fn a_question_is_read_as_far_as_it_goes() {
        let ask = |bytes: &[u8]| Names::dns_question(bytes);
        assert_eq!(ask(b"\x07example\x03com\0\0\x1c\0\x01"), ("example.com".to_owned(), "AAAA".to_owned()));
        assert_eq!(ask(b"\0\0\x02"), (".".to_owned(), "NS".to_owned()));
        assert_eq!(ask(b"\x07exam"), ("...".to_owned(), "-".to_owned()));
        assert_eq!(ask(b"\x01a\xc0\x0c"), ("a...".to_owned(), "-".to_owned()));
        assert_eq!(ask(b""), ("...".to_owned(), "-".to_owned()));
        assert_eq!(
            (Names::icmp(3 * 256 + 3), Names::icmp(13 * 256)),
            ("port-unreachable".into(), "type 13 code 0".into())
        );
        assert_eq!(Names::rcode(3), "NXDOMAIN");
    }

    #[test]
    fn time_counts_from_the_first() {
        let mut names = Names::new();
        assert_eq!((names.since(50), names.since(70), names.since(10)), (0, 20, 0));
    }
}
