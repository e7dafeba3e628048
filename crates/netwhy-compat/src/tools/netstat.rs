//! `netstat`: sockets, routes, interfaces and counters in the old columns. Forms from netstat(8) and its observed
//! output.

mod statistics;

use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;

use netwhy_collect::Collector;
use netwhy_collect::socket::Holders;
use netwhy_facts::link::Link;
use netwhy_facts::route::{Route, RouteType};
use netwhy_facts::{Family, Reading};
use netwhy_render::escape::escape_terminal;

use crate::flags::{self, Flag, Parsed, Style};
use crate::names::Names;
use crate::sockets::{self, IpSocket, Table, state_word};
use crate::{Session, Tool, ToolError};

/// `netstat`.
pub static TOOL: Tool =
    Tool { name: "netstat", aliases: &[], about: "sockets, routes, interfaces and counters", run };

const STYLE: Style = Style { single_dash: false, anywhere: true, code: 3 };
const GONE: &str = "this kernel keeps no such table";

const FLAGS: &[Flag] = &[
    Flag::switch('h', "help", "show this"),
    Flag::switch('V', "version", "show the version"),
    Flag::switch('r', "route", "the routing table"),
    Flag::switch('i', "interfaces", "the interfaces"),
    Flag::switch('g', "groups", "multicast groups").refused("use netwhy ip maddr"),
    Flag::switch('s', "statistics", "counters"),
    Flag::switch('M', "masquerade", "masqueraded connections").refused("use netwhy conntrack -L"),
    Flag::switch('v', "verbose", "say what is missing").ignored("nothing is left out without a word"),
    Flag::switch('W', "wide", "addresses in full"),
    Flag::switch('n', "numeric", "numbers instead of names"),
    Flag::switch('\0', "numeric-hosts", "numbers instead of host names"),
    Flag::switch('\0', "numeric-ports", "numbers instead of service names"),
    Flag::switch('\0', "numeric-users", "numbers instead of user names"),
    Flag::switch('N', "symbolic", "hardware names").ignored("there are none to resolve"),
    Flag::switch('e', "extend", "more: user, inode; twice: more of routes"),
    Flag::switch('p', "programs", "process ids and names"),
    Flag::switch('o', "timers", "timers"),
    Flag::switch('c', "continuous", "again every second"),
    Flag::switch('l', "listening", "only listening sockets"),
    Flag::switch('a', "all", "all sockets"),
    Flag::switch('F', "fib", "the forwarding table").ignored("it is the only one"),
    Flag::switch('C', "cache", "the route cache").refused("kernels since 3.6 keep none"),
    Flag::switch('Z', "context", "SELinux labels").refused("netwhy reads no SELinux labels"),
    Flag::switch('t', "tcp", "TCP"),
    Flag::switch('u', "udp", "UDP"),
    Flag::switch('U', "udplite", "UDP-Lite").refused(GONE),
    Flag::switch('S', "sctp", "SCTP").refused("use netwhy ss -S"),
    Flag::switch('w', "raw", "raw sockets"),
    Flag::switch('x', "unix", "unix sockets"),
    Flag::switch('4', "inet", "IPv4"),
    Flag::switch('6', "inet6", "IPv6"),
    Flag::value('A', "protocol", "FAMILY", "inet, inet6 or unix"),
    Flag::switch('\0', "ax25", "AX.25").refused(GONE),
    Flag::switch('\0', "ipx", "IPX").refused(GONE),
    Flag::switch('\0', "netrom", "NET/ROM").refused(GONE),
    Flag::switch('2', "l2cap", "Bluetooth").refused(GONE),
    Flag::switch('f', "rfcomm", "Bluetooth").refused(GONE),
    Flag::switch('j', "json", "JSON (docs/classic.md)")
        .refused("use netwhy ss --json, ip -j route, ip -j -s link, nstat -j"),
];

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = flags::parse("netstat", FLAGS, STYLE, args)?;
    if parsed.has("help") {
        writeln!(session.out, "usage: netstat [options]")?;
        write!(session.out, "{}", flags::help(FLAGS, STYLE))?;
        return Ok(0);
    }
    if parsed.has("version") {
        writeln!(session.out, "netstat from netwhy {}", env!("CARGO_PKG_VERSION"))?;
        return Ok(0);
    }
    if parsed.has("continuous") && !crate::watch::is_active() {
        return crate::watch::again(&TOOL, session, args, std::time::Duration::from_secs(1), None);
    }
    let collector = session.collector()?;
    if parsed.has("statistics") {
        if parsed.has("inet6") {
            let why = "use netwhy nstat -a '*6*'".to_owned();
            return Err(ToolError::Refused { what: "netstat -s -6".into(), why, code: 3 });
        }
        let counters = known(collector.counters())?;
        let (tcp, udp, raw) = (parsed.has("tcp"), parsed.has("udp"), parsed.has("raw"));
        let all = !(tcp || udp || raw);
        let wanted = |group: &str| match group {
            "Tcp" | "TcpExt" => all || tcp,
            "Udp" => all || udp,
            "Ip" | "Icmp" => all || raw,
            _ => true,
        };
        statistics::write(session.out, &counters, &wanted)?;
        return Ok(0);
    }
    if parsed.has("route") {
        return routes(session, &collector, &parsed);
    }
    if parsed.has("interfaces") {
        return interfaces(session, &collector, &parsed);
    }
    let names = Names::of(&session.scope.root);
    let list = List { parsed: &parsed, names: &names, holders: holders(&collector, &parsed) };
    list.write(session, &collector)
}

fn known<T>(reading: Reading<T>) -> Result<T, ToolError> {
    match reading {
        Reading::Known { value, .. } => Ok(value),
        absent => {
            let why = absent.absence().map(|why| why.to_string()).unwrap_or_default();
            Err(ToolError::failed(format!("netstat: {why}"), 1))
        }
    }
}

fn holders(collector: &Collector, parsed: &Parsed) -> Option<Holders> {
    parsed.has("programs").then(|| collector.socket_holders(false))
}

struct List<'a> {
    parsed: &'a Parsed,
    names: &'a Names,
    holders: Option<Holders>,
}

impl List<'_> {
    fn write(&self, session: &mut Session<'_>, collector: &Collector) -> Result<u8, ToolError> {
        let has = |name| self.parsed.has(name);
        let family = self.parsed.value("protocol").unwrap_or("");
        if !family.split(',').all(|word| matches!(word, "" | "inet" | "inet6" | "unix")) {
            let why = GONE.to_owned();
            return Err(ToolError::Refused { what: format!("netstat -A {family}"), why, code: 3 });
        }
        let named = |word: &str| family.split(',').any(|one| one == word);
        let kinds = has("tcp") || has("udp") || has("raw");
        let families = has("inet") || has("inet6") || named("inet") || named("inet6");
        let unix = has("unix") || named("unix");
        let inet = kinds || families || !unix;
        let four = !families || has("inet") || named("inet");
        let six = !families || has("inet6") || named("inet6");
        let which = match (has("all"), has("listening")) {
            (true, _) => "servers and established",
            (_, true) => "only servers",
            _ => "w/o servers",
        };
        if inet {
            writeln!(session.out, "Active Internet connections ({which})")?;
            self.heading(session)?;
            for (table, wanted) in
                [(Table::Tcp, has("tcp")), (Table::Udp, has("udp")), (Table::Raw, has("raw"))]
            {
                if kinds && !wanted {
                    continue;
                }
                let mut failed = None;
                let out = &mut *session.out;
                sockets::each(collector, table, four, six, &mut |one| match self
                    .wants(&one)
                    .then(|| out.write_all(self.row(table, &one).as_bytes()))
                {
                    Some(Err(error)) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                    _ => ControlFlow::Continue(()),
                })?;
                if let Some(error) = failed {
                    return Err(error.into());
                }
            }
        }
        if unix || !(kinds || families) {
            writeln!(session.out, "Active UNIX domain sockets ({which})")?;
            self.unix(session, collector)?;
        }
        Ok(0)
    }

    fn heading(&self, session: &mut Session<'_>) -> Result<(), ToolError> {
        let mut line = format!(
            "{:<5} {:<6} {:<6} {:<23} {:<23} {:<11}",
            "Proto", "Recv-Q", "Send-Q", "Local Address", "Foreign Address", "State"
        );
        if self.parsed.has("extend") {
            line.push_str(&format!(" {:<10} {:<10}", "User", "Inode"));
        }
        if self.parsed.has("programs") {
            line.push_str(&format!(" {:<20}", "PID/Program name"));
        }
        if self.parsed.has("timers") {
            line.push_str(" Timer");
        }
        Ok(writeln!(session.out, "{line}")?)
    }

    /// All, those that listen, or those that are connected.
    fn wants(&self, one: &IpSocket) -> bool {
        let connected = one.rport != 0;
        self.parsed.has("all") || connected != self.parsed.has("listening")
    }

    fn row(&self, table: Table, one: &IpSocket) -> String {
        let (proto, transport) = match table {
            Table::Tcp => ("tcp", "tcp"),
            Table::Udp => ("udp", "udp"),
            Table::Raw => ("raw", "raw"),
        };
        let proto = if one.six { format!("{proto}6") } else { proto.to_owned() };
        let state = match (table, one.state) {
            (Table::Raw, number) => number.to_string(),
            (Table::Udp, 7) => String::new(),
            (_, number) => state_word(number).to_owned(),
        };
        let wqueue = if one.state == 10 { 0 } else { one.wqueue };
        let mut line = format!(
            "{proto:<4} {:>7} {wqueue:>6} {:<23} {:<23} {state:<11}",
            one.rqueue,
            self.end(transport, one.local, one.lport),
            self.end(transport, one.remote, one.rport),
        );
        if self.parsed.has("extend") {
            let numeric = self.parsed.has("numeric") || self.parsed.has("numeric-users");
            let user = match self.names.user(one.uid) {
                Some(name) if !numeric => escape_terminal(name).into_owned(),
                _ => one.uid.to_string(),
            };
            line.push_str(&format!(" {user:<10} {:<10}", one.inode));
        }
        if self.holders.is_some() {
            line.push_str(&format!(" {:<20}", self.program(one.inode)));
        }
        if self.parsed.has("timers") {
            let (kind, millis, count) = one.timer;
            let name = match kind {
                0 => "off",
                1 => "on",
                2 => "keepalive",
                3 => "timewait",
                4 => "probe",
                _ => "unkn-",
            };
            line.push_str(&format!(" {name} ({:.2}/{count}/0)", f64::from(millis) / 1000.0));
        }
        line.push('\n');
        line
    }

    fn end(&self, transport: &str, ip: IpAddr, port: u16) -> String {
        let has = |name| self.parsed.has(name);
        let (hosts, ports) =
            (!has("numeric") && !has("numeric-hosts"), !has("numeric") && !has("numeric-ports"));
        let shown = match ip.to_canonical() {
            IpAddr::V6(six) if six.is_unspecified() && hosts => "[::]".to_owned(),
            one if one.is_unspecified() => one.to_string(),
            one => match self.names.host(one) {
                Some(name) if hosts => escape_terminal(name).into_owned(),
                _ => one.to_string(),
            },
        };
        let service = match transport {
            "raw" => self.names.protocol(port),
            _ => self.names.service(transport, port),
        };
        let port = match (port, service) {
            (0, _) => "*".to_owned(),
            (_, Some(name)) if ports => escape_terminal(name).into_owned(),
            (port, _) => port.to_string(),
        };
        let room = 23_usize.saturating_sub(port.len() + 1);
        match has("wide") || shown.len() <= room {
            true => format!("{shown}:{port}"),
            false => format!("{}:{port}", shown.chars().take(room).collect::<String>()),
        }
    }

    /// `PID/NAME` of the first process that holds it.
    fn program(&self, inode: u64) -> String {
        let first = self.holders.as_ref().and_then(|holders| holders.of(inode, false).next());
        match first {
            Some(hold) if inode != 0 => {
                let text = format!("{}/{}", hold.task.pid, escape_terminal(&hold.task.comm));
                text.chars().take(19).collect()
            }
            _ => "-".to_owned(),
        }
    }

    fn unix(&self, session: &mut Session<'_>, collector: &Collector) -> Result<(), ToolError> {
        let program = self.holders.is_some();
        let between = if program { format!("{:<20} ", "PID/Program name") } else { String::new() };
        writeln!(session.out, "Proto RefCnt Flags       Type       State         I-Node   {between}Path")?;
        let mut failed = None;
        let out = &mut *session.out;
        collector.unix_file(&mut |one| {
            let listens = one.state == 10;
            if !(self.parsed.has("all") || listens == self.parsed.has("listening")) {
                return ControlFlow::Continue(());
            }
            let kind = match one.kind {
                1 => "STREAM",
                2 => "DGRAM",
                3 => "RAW",
                4 => "RDM",
                5 => "SEQPACKET",
                _ => "UNKNOWN",
            };
            let state = match one.state {
                10 => "LISTENING",
                1 => "CONNECTED",
                _ => "",
            };
            let flags = if listens { "[ ACC ]" } else { "[ ]" };
            let between = if program { format!("{:<20} ", self.program(one.inode)) } else { String::new() };
            let name = one.name.as_deref().unwrap_or("");
            let written = writeln!(
                out,
                "unix  {:<6} {flags:<11} {kind:<10} {state:<13} {:<8} {between}{}",
                one.refs.unwrap_or(0),
                one.inode,
                escape_terminal(name)
            );
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

fn interfaces(session: &mut Session<'_>, collector: &Collector, parsed: &Parsed) -> Result<u8, ToolError> {
    if parsed.has("extend") {
        let why = "use netwhy ip -s -d addr".to_owned();
        return Err(ToolError::Refused { what: "netstat -i -e".into(), why, code: 3 });
    }
    let mut links = known(collector.links())?.0;
    links.sort_by(|a, b| a.name.cmp(&b.name));
    writeln!(session.out, "Kernel Interface table")?;
    writeln!(
        session.out,
        "Iface             MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg"
    )?;
    for link in links.iter().filter(|link| link.is_up() || parsed.has("all")) {
        let stats = &link.stats;
        writeln!(
            session.out,
            "{:<15.15} {:>5} {:>8} {:>6} {:>6} {:<6} {:>8} {:>6} {:>6} {:>6} {}",
            escape_terminal(&link.name),
            link.mtu,
            stats.rx_packets,
            stats.rx_errors,
            stats.rx_dropped + stats.rx_missed_errors,
            stats.rx_fifo_errors,
            stats.tx_packets,
            stats.tx_errors,
            stats.tx_dropped,
            stats.tx_fifo_errors,
            letters(link)
        )?;
    }
    Ok(0)
}

/// IFF_* as letters.
fn letters(link: &Link) -> String {
    const LETTERS: &[(u32, char)] = &[
        (0x200, 'A'),
        (0x2, 'B'),
        (0x4, 'D'),
        (0x8, 'L'),
        (0x1000, 'M'),
        (0x100, 'P'),
        (0x20, 'N'),
        (0x80, 'O'),
        (0x10, 'P'),
        (0x40, 'R'),
        (0x1, 'U'),
    ];
    LETTERS.iter().filter(|(bit, _)| link.flags & bit != 0).map(|(_, letter)| *letter).collect()
}

fn routes(session: &mut Session<'_>, collector: &Collector, parsed: &Parsed) -> Result<u8, ToolError> {
    if parsed.has("inet6") || parsed.value("protocol") == Some("inet6") {
        let why = "use netwhy ip -6 route".to_owned();
        return Err(ToolError::Refused { what: "netstat -r -6".into(), why, code: 3 });
    }
    let links = known(collector.links())?;
    let names = Names::of(&session.scope.root);
    let all = known(collector.routes())?;
    let mut routes: Vec<&Route> = all
        .routes
        .iter()
        .filter(|route| route.family == Family::Inet && route.table == 254)
        .filter(|route| !matches!(route.kind, RouteType::Broadcast | RouteType::Multicast))
        .collect();
    routes.sort_by_key(|route| (route.dst.addr, std::cmp::Reverse(route.dst.len), route.priority));
    let detail = parsed.count("extend");
    let numeric = parsed.has("numeric") || parsed.has("numeric-hosts");
    writeln!(session.out, "Kernel IP routing table")?;
    let columns = match detail {
        0 => "  MSS Window  irtt Iface",
        1 => "Metric Ref    Use Iface",
        _ => "Metric Ref    Use Iface    MSS   Window irtt",
    };
    writeln!(session.out, "Destination     Gateway         Genmask         Flags {columns}")?;
    for route in routes {
        for hop in hops(route) {
            let device = hop
                .0
                .and_then(|index| links.by_index(index))
                .map_or("*".into(), |link| escape_terminal(&link.name));
            let host = route.dst.len == 32;
            let mut flags = String::from("U");
            if hop.1.is_some() {
                flags.push('G');
            }
            if matches!(route.kind, RouteType::Unreachable | RouteType::Prohibit) {
                flags = "!".to_owned();
            }
            if host {
                flags.push('H');
            }
            let name = |address: IpAddr, none: &str| match address {
                one if one.is_unspecified() && !numeric => none.to_owned(),
                one => match names.host(one) {
                    Some(name) if !numeric => escape_terminal(name).into_owned(),
                    _ => one.to_string(),
                },
            };
            let unspecified = IpAddr::from(Ipv4Addr::UNSPECIFIED);
            let gateway = hop.1.unwrap_or(unspecified);
            let mask = u32::MAX.checked_shl(32 - u32::from(route.dst.len)).unwrap_or(0);
            let start = format!(
                "{:<15} {:<15} {:<15} {flags:<5}",
                name(route.dst.addr, "default"),
                name(gateway, "0.0.0.0"),
                Ipv4Addr::from(mask).to_string(),
            );
            // The kernel's file adds the header that TCP leaves out of its segments.
            let mss = route.advmss.map_or(0, |mss| mss + 40);
            let metric = route.priority;
            match detail {
                0 => writeln!(session.out, "{start} {mss:>5} {:<5} {:>6} {device}", 0, 0)?,
                1 => writeln!(session.out, "{start} {metric:<6} {:<2} {:>7} {device}", 0, 0)?,
                _ => writeln!(
                    session.out,
                    "{start} {metric:<6} {:<2} {:>7} {device:<8} {mss:<5} {:<6} {}",
                    0, 0, 0, 0
                )?,
            }
        }
    }
    Ok(0)
}

/// Device and gateway of each next hop; one of nothing for a route that has none.
fn hops(route: &Route) -> Vec<(Option<u32>, Option<IpAddr>)> {
    match route.hops.is_empty() {
        true => vec![(None, None)],
        false => route.hops.iter().map(|hop| (hop.oif, hop.gateway)).collect(),
    }
}
