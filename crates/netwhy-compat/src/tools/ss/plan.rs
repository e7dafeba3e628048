//! What a command line of ss(8) asks for: which tables, which states, what to show.

use super::expr::Kind;
use super::names;
use crate::flags::{Flag, Parsed, Style};
use crate::session::ToolError;

pub(super) const STYLE: Style = Style { single_dash: false, anywhere: true, code: 255 };

const NO_LABELS: &str = "netwhy reads no SELinux labels; id -Z and ls -Z /proc/PID/fd show them";

pub(super) const FLAGS: &[Flag] = &[
    Flag::switch('h', "help", "show this"),
    Flag::switch('V', "version", "show the version"),
    Flag::switch('H', "no-header", "leave the heading out"),
    Flag::switch('O', "oneline", "one line a socket"),
    Flag::switch('n', "numeric", "numbers instead of service names, exact rates"),
    Flag::switch('r', "resolve", "names of hosts, from the hosts file: nothing is sent"),
    Flag::switch('a', "all", "all states"),
    Flag::switch('l', "listening", "listening sockets only"),
    Flag::switch('B', "bound-inactive", "sockets bound and neither listening nor connected (Linux 6.8)"),
    Flag::switch('o', "options", "timers"),
    Flag::switch('e', "extended", "owner, inode, cookie, mark, cgroup"),
    Flag::switch('m', "memory", "memory"),
    Flag::switch('p', "processes", "processes that hold the socket"),
    Flag::switch('T', "threads", "threads that hold the socket"),
    Flag::switch('i', "info", "tcp_info"),
    Flag::switch('\0', "tos", "type of service, priority class"),
    Flag::switch('\0', "cgroup", "cgroup"),
    Flag::switch('\0', "inet-sockopt", "socket options"),
    Flag::switch('\0', "tipcinfo", "TIPC").refused("netwhy does not read TIPC sockets"),
    Flag::switch('b', "bpf", "classic filters of packet sockets"),
    Flag::switch('s', "summary", "counts only"),
    Flag::switch('E', "events", "sockets as they are destroyed"),
    Flag::switch('Z', "context", "SELinux labels").refused(NO_LABELS),
    Flag::switch('z', "contexts", "SELinux labels").refused(NO_LABELS),
    Flag::value('N', "net", "NAME", "in another network namespace"),
    Flag::switch('4', "ipv4", "IPv4"),
    Flag::switch('6', "ipv6", "IPv6"),
    Flag::switch('0', "packet", "packet sockets"),
    Flag::switch('t', "tcp", "TCP"),
    Flag::switch('M', "mptcp", "MPTCP"),
    Flag::switch('S', "sctp", "SCTP"),
    Flag::switch('u', "udp", "UDP"),
    Flag::switch('d', "dccp", "DCCP").refused("the kernel dropped DCCP in 6.16 and netwhy does not read it"),
    Flag::switch('w', "raw", "raw sockets"),
    Flag::switch('x', "unix", "unix sockets"),
    Flag::switch('\0', "tipc", "TIPC").refused("netwhy does not read TIPC sockets"),
    Flag::switch('\0', "vsock", "vsock"),
    Flag::switch('\0', "xdp", "AF_XDP").refused("netwhy does not read AF_XDP sockets"),
    Flag::value('f', "family", "FAMILY", "inet, inet6, link, unix, netlink or vsock"),
    Flag::value('A', "query", "TABLES", "tables, separated by commas, with ! to leave one out"),
    Flag::value('\0', "socket", "TABLES", "the same"),
    Flag::value('D', "diag", "FILE", "raw answers").refused("use --json for something a program can read"),
    Flag::value('F', "filter", "FILE", "the filter, from a file (- for standard input)"),
    Flag::switch('K', "kill", "close the sockets (asks first)"),
    Flag::switch('y', "yes", "close them without asking"),
    Flag::switch('j', "json", "JSON (docs/classic.md)"),
];

/// A table of sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Db {
    Netlink,
    PacketRaw,
    PacketDgram,
    UnixStream,
    UnixDgram,
    UnixSeqpacket,
    Raw,
    Udp,
    Tcp,
    Sctp,
    VsockStream,
    VsockDgram,
    Mptcp,
}

use Db::*;

/// In the order they are listed.
pub(super) const DBS: &[Db] = &[
    Netlink,
    PacketRaw,
    PacketDgram,
    UnixStream,
    UnixDgram,
    UnixSeqpacket,
    Raw,
    Udp,
    Tcp,
    Sctp,
    VsockStream,
    VsockDgram,
    Mptcp,
];
const INET: &[Db] = &[Raw, Udp, Tcp, Sctp, Mptcp];
const UNIX: &[Db] = &[UnixStream, UnixDgram, UnixSeqpacket];
const PACKET: &[Db] = &[PacketRaw, PacketDgram];
const VSOCK: &[Db] = &[VsockStream, VsockDgram];

const ESTABLISHED: u32 = 1 << 1;
const CLOSED: u32 = 1 << 7;
const LISTENING: u32 = 1 << 10;

impl Db {
    /// The word of the first column.
    pub(super) const fn netid(self) -> &'static str {
        match self {
            Netlink => "nl",
            PacketRaw => "p_raw",
            PacketDgram => "p_dgr",
            UnixStream => "u_str",
            UnixDgram => "u_dgr",
            UnixSeqpacket => "u_seq",
            Raw => "raw",
            Udp => "udp",
            Tcp => "tcp",
            Sctp => "sctp",
            VsockStream => "v_str",
            VsockDgram => "v_dgr",
            Mptcp => "mptcp",
        }
    }

    /// IPPROTO_*, for IP sockets.
    pub(super) const fn protocol(self) -> Option<u16> {
        match self {
            Tcp => Some(6),
            Udp => Some(17),
            Sctp => Some(132),
            Raw => Some(255),
            Mptcp => Some(262),
            _ => None,
        }
    }
}

/// Tables as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dbs(u32);

impl Dbs {
    fn add(&mut self, which: &[Db]) {
        for one in which {
            self.0 |= 1 << *one as u32;
        }
    }

    fn remove(&mut self, which: &[Db]) {
        for one in which {
            self.0 &= !(1 << *one as u32);
        }
    }

    pub(super) fn has(self, one: Db) -> bool {
        self.0 >> one as u32 & 1 == 1
    }

    /// Whether a table is the first chosen one of those that one question brings.
    pub(super) fn is_first_of_family(self, one: Db) -> bool {
        let family = [UNIX, PACKET, VSOCK].into_iter().find(|family| family.contains(&one));
        family.is_none_or(|family| family.iter().find(|other| self.has(**other)) == Some(&one))
    }

    fn any(self, which: &[Db]) -> bool {
        which.iter().any(|one| self.has(*one))
    }
}

/// What to show beside the columns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Show {
    pub(super) numeric: bool,
    pub(super) resolve: bool,
    pub(super) options: bool,
    pub(super) extended: bool,
    pub(super) memory: bool,
    pub(super) processes: bool,
    pub(super) threads: bool,
    pub(super) info: bool,
    pub(super) tos: bool,
    pub(super) cgroup: bool,
    pub(super) sockopt: bool,
    pub(super) bpf: bool,
    pub(super) oneline: bool,
}

/// A command line understood.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) dbs: Dbs,
    /// Bits of `1 << TCP_*`.
    pub(super) states: u32,
    pub(super) show: Show,
    pub(super) header: bool,
    /// Which IP versions.
    pub(super) four: bool,
    pub(super) six: bool,
    /// The family of hosts in the filter that name none.
    pub(super) kind: Kind,
    /// The words of the filter.
    pub(super) filter: Vec<String>,
    pub(super) netid: bool,
    pub(super) state_column: bool,
    /// Neither a table nor a filter was named.
    pub(super) is_default: bool,
}

impl Plan {
    pub(super) fn of(parsed: &Parsed) -> Result<Self, ToolError> {
        let mut chosen = Chosen::default();
        for (flag, value) in parsed.given() {
            let value = value.unwrap_or_default();
            match flag {
                "tcp" => chosen.table(&[Tcp], names::CONNECTED_BIG),
                "udp" => chosen.table(&[Udp], ESTABLISHED),
                "raw" => chosen.table(&[Raw], ESTABLISHED),
                "sctp" => chosen.table(&[Sctp], names::CONNECTED_BIG),
                "mptcp" => chosen.table(&[Mptcp], names::CONNECTED_BIG),
                "unix" => chosen.family("unix")?,
                "packet" => chosen.family("link")?,
                "vsock" => chosen.family("vsock")?,
                "ipv4" => chosen.family("inet")?,
                "ipv6" => chosen.family("inet6")?,
                "family" => chosen.family(value)?,
                "query" | "socket" => chosen.query(value)?,
                _ => {}
            }
        }
        let mut filter = match parsed.value("filter") {
            Some(file) => read_filter(file)?,
            None => Vec::new(),
        };
        filter.extend(parsed.words.iter().flat_map(|word| word.split_whitespace()).map(str::to_owned));
        let (states, filter) = state_words(&filter)?;
        Ok(chosen.finish(parsed, states, filter))
    }
}

#[derive(Default)]
struct Chosen {
    dbs: Dbs,
    /// States the chosen families have when nothing else is said.
    states: u32,
    four: bool,
    six: bool,
    kind: Option<Kind>,
    families: Vec<&'static [Db]>,
    inverted: Dbs,
}

impl Chosen {
    fn table(&mut self, which: &[Db], states: u32) {
        self.dbs.add(which);
        self.states |= states;
    }

    fn family(&mut self, word: &str) -> Result<(), ToolError> {
        let (dbs, states): (&'static [Db], u32) = match word {
            "inet" => (INET, names::CONNECTED_BIG),
            "inet6" => (INET, names::CONNECTED_BIG),
            "unix" => (UNIX, names::CONNECTED_BIG),
            "link" => (PACKET, CLOSED),
            "netlink" => (&[Netlink], CLOSED),
            "vsock" => (VSOCK, names::CONNECTED_BIG),
            "tipc" | "xdp" => {
                let why = format!("netwhy does not read {word} sockets");
                return Err(ToolError::Refused { what: format!("ss -f {word}"), why, code: 255 });
            }
            _ => return Err(ToolError::usage(format!("ss: \"{word}\" is invalid family"), 255)),
        };
        self.four |= word == "inet";
        self.six |= word == "inet6";
        self.kind = Kind::from_word(word);
        self.families.push(dbs);
        self.states |= states;
        Ok(())
    }

    fn query(&mut self, list: &str) -> Result<(), ToolError> {
        self.dbs = Dbs::default();
        self.states = names::CONNECTED_BIG;
        for word in list.split(',') {
            let (out, word) = match word.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, word),
            };
            let which: &[Db] = match word {
                "all" => DBS,
                "inet" => INET,
                "tcp" => &[Tcp],
                "udp" => &[Udp],
                "raw" => &[Raw],
                "mptcp" => &[Mptcp],
                "sctp" => &[Sctp],
                "unix" | "u" => UNIX,
                "unix_stream" | "u_str" => &[UnixStream],
                "unix_dgram" | "u_dgr" => &[UnixDgram],
                "unix_seqpacket" | "u_seq" => &[UnixSeqpacket],
                "packet" | "p" => PACKET,
                "packet_raw" | "p_raw" => &[PacketRaw],
                "packet_dgram" | "p_dgr" => &[PacketDgram],
                "netlink" => &[Netlink],
                "vsock" => VSOCK,
                "vsock_stream" | "v_str" => &[VsockStream],
                "vsock_dgram" | "v_dgr" => &[VsockDgram],
                "dccp" | "tipc" | "xdp" => {
                    let why = format!("netwhy does not read {word} sockets");
                    return Err(ToolError::Refused { what: format!("ss -A {word}"), why, code: 255 });
                }
                _ => return Err(ToolError::usage(format!("ss: \"{word}\" is illegal socket table id"), 255)),
            };
            if out {
                self.dbs.remove(which);
                self.inverted.add(which);
            } else {
                self.dbs.add(which);
            }
        }
        Ok(())
    }

    fn finish(mut self, parsed: &Parsed, states: u32, filter: Vec<String>) -> Plan {
        for family in &self.families {
            // A family brings its tables unless one of them was chosen; -4 with -u is UDP alone.
            if !self.dbs.any(family) {
                self.dbs.add(family);
            }
        }
        let is_default = self.dbs == Dbs::default() && filter.is_empty() && states == 0;
        if self.dbs == Dbs::default() {
            self.dbs.add(DBS);
            self.states = names::CONNECTED_BIG;
        }
        let both = !self.four && !self.six;
        let default = if parsed.has("all") {
            names::ALL
        } else if parsed.has("listening") {
            LISTENING | CLOSED
        } else if parsed.has("bound-inactive") {
            1 << 13
        } else {
            self.states
        };
        let states = if states != 0 { states } else { default };
        let has = |name| parsed.has(name);
        let show = Show {
            numeric: has("numeric"),
            resolve: has("resolve"),
            options: has("options") || has("extended"),
            extended: has("extended"),
            memory: has("memory"),
            processes: has("processes") || has("threads"),
            threads: has("threads"),
            info: has("info"),
            tos: has("tos"),
            cgroup: has("cgroup"),
            sockopt: has("inet-sockopt"),
            bpf: has("bpf"),
            oneline: has("oneline"),
        };
        // --bpf says what --extended does for packet sockets.
        let many = DBS.iter().filter(|one| self.dbs.has(**one)).count() > 1;
        Plan {
            netid: many,
            state_column: states.count_ones() > 1,
            dbs: self.dbs,
            states,
            show,
            header: !has("no-header"),
            four: both || self.four,
            six: both || self.six,
            kind: match self.kind {
                Some(Kind::Inet4 | Kind::Inet6) if self.four && self.six => Kind::Inet,
                Some(kind) => kind,
                None => Kind::Inet,
            },
            filter,
            is_default,
        }
    }
}

/// Takes `state X` and `exclude X` off the start; the states they leave (0: none named) and the rest.
fn state_words(words: &[String]) -> Result<(u32, Vec<String>), ToolError> {
    let (mut states, mut rest) = (0, words);
    while let [verb, tail @ ..] = rest
        && matches!(verb.as_str(), "state" | "exclude" | "excl")
    {
        let [word, tail @ ..] = tail else {
            return Err(ToolError::usage(format!("ss: {verb} needs the name of a state"), 255));
        };
        let named = names::states(word)
            .ok_or_else(|| ToolError::usage(format!("ss: wrong state name: {word}"), 255))?;
        match verb.as_str() {
            "state" => states |= named,
            _ if states == 0 => states = names::ALL & !named,
            _ => states &= !named,
        }
        rest = tail;
    }
    Ok((states, rest.to_vec()))
}

fn read_filter(file: &str) -> Result<Vec<String>, ToolError> {
    let text = match file {
        "-" => std::io::read_to_string(std::io::stdin()),
        path => std::fs::read_to_string(path),
    };
    let text = text.map_err(|error| ToolError::failed(format!("ss: {file}: {error}"), 255))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Plan {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Plan::of(&crate::flags::parse("ss", FLAGS, STYLE, &words).unwrap()).unwrap()
    }

    #[test]
    fn tables_and_columns_follow_the_flags() {
        for (line, tables, netid, state) in [
            ("-t", &[Tcp][..], false, true),
            ("-u", &[Udp], false, false),
            ("-0", PACKET, true, false),
            ("-0u", &[Udp, PacketRaw, PacketDgram], true, true),
            ("-4u", &[Udp], false, true),
            ("-4x", &[Raw, Udp, Tcp, Sctp, Mptcp, UnixStream, UnixDgram, UnixSeqpacket], true, true),
            ("-f netlink", &[Netlink], false, false),
            ("-A tcp,!tcp,udp", &[Udp], false, true),
            ("-t state established", &[Tcp], false, false),
            ("-tl", &[Tcp], false, true),
        ] {
            let plan = plan(line);
            let found: Vec<Db> = DBS.iter().copied().filter(|one| plan.dbs.has(*one)).collect();
            let wanted: Vec<Db> = DBS.iter().copied().filter(|one| tables.contains(one)).collect();
            assert_eq!((found, plan.netid, plan.state_column), (wanted, netid, state), "{line}");
        }
    }

    #[test]
    fn states_add_up_and_exclusions_start_from_all() {
        let time_wait = 1 << 6;
        assert_eq!(plan("state established state time-wait").states, ESTABLISHED | time_wait);
        assert_eq!(plan("exclude established").states, names::ALL & !ESTABLISHED);
        assert_eq!(plan("state connected exclude established").states & ESTABLISHED, 0);
        assert_eq!(plan("-t").states & time_wait, 0, "sockets in TIME-WAIT are asked for");
        let rest = plan("state established dport = :80");
        assert_eq!(rest.filter, ["dport", "=", ":80"]);
        assert!(
            state_words(&["state".into()]).is_err() && state_words(&["state".into(), "x".into()]).is_err()
        );
    }
}
