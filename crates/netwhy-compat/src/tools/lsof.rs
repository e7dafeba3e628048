//! `lsof -i`, `-p`, `-U`: which process holds which socket. Forms from lsof(8) and its observed output. Files that
//! are no sockets are not listed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

use netwhy_collect::socket::Task;
use netwhy_facts::local_socket::UnixSocket;
use netwhy_render::escape::escape_terminal;

use crate::flags::{self, Flag, Parsed, Style};
use crate::names::Names;
use crate::sockets::{self, IpSocket, Table, state_word};
use crate::{Session, Tool, ToolError};

/// `lsof`.
pub static TOOL: Tool =
    Tool { name: "lsof", aliases: &[], about: "sockets by the process that holds them", run };

const STYLE: Style = Style { single_dash: false, anywhere: true, code: 1 };
const FILES: &str = "netwhy lists sockets, not other files: ls -l /proc/PID/fd";

const FLAGS: &[Flag] = &[
    Flag::switch('h', "help", "show this"),
    Flag::switch('v', "version", "show the version"),
    Flag::value('i', "internet", "[46][PROTOCOL][@HOST][:PORTS]", "IP sockets").maybe(),
    Flag::value('p', "pid", "PIDS", "of these processes; ^PID: of all but it"),
    Flag::value('c', "command", "NAME", "of commands that start so"),
    Flag::value('u', "user", "USERS", "of these users"),
    Flag::value('s', "state", "PROTOCOL:STATES", "in these states; ^STATE: in none of them"),
    Flag::switch('a', "and", "what meets all conditions, not any"),
    Flag::switch('n', "no-names", "numbers instead of host names"),
    Flag::switch('P', "no-ports", "numbers instead of service names"),
    Flag::switch('l', "no-users", "numbers instead of user names"),
    Flag::switch('U', "unix", "unix sockets"),
    Flag::switch('t', "terse", "process ids only"),
    Flag::switch('w', "no-warnings", "no warnings").ignored("there are none"),
    Flag::value('F', "fields", "FIELDS", "one field a line").maybe(),
    Flag::value('r', "repeat", "SECONDS", "repeat").refused("use --watch SECONDS"),
    Flag::value('d', "descriptors", "FDS", "descriptors").refused(FILES),
    Flag::value('D', "directory", "DIR", "files of a directory").refused(FILES),
    Flag::switch('N', "nfs", "NFS files").refused(FILES),
    Flag::switch('R', "parents", "parents' process ids").refused("ps -o ppid= -p PID"),
    Flag::switch('K', "tasks", "threads").refused("use netwhy ss -T"),
    Flag::switch('j', "json", "JSON (docs/classic.md)").refused("use netwhy ss --json -p"),
];

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = flags::parse("lsof", FLAGS, STYLE, args)?;
    if parsed.has("help") {
        writeln!(session.out, "usage: lsof [options]")?;
        write!(session.out, "{}", flags::help(FLAGS, STYLE))?;
        return Ok(0);
    }
    if parsed.has("version") {
        writeln!(session.out, "lsof from netwhy {}", env!("CARGO_PKG_VERSION"))?;
        return Ok(0);
    }
    let names = Names::of(&session.scope.root);
    let mut specs = Vec::new();
    for (flag, value) in parsed.given().filter(|(flag, _)| *flag == "internet") {
        specs.push(Spec::parse(value.unwrap_or(""), &names).map_err(|why| bad(flag, value, &why))?);
    }
    // A word behind a lone `-F` or `-i` is what it is about.
    let is_fields = |word: &&String| word.chars().all(|letter| letter.is_ascii_alphabetic());
    let lone_fields = parsed.has("fields") && parsed.value("fields").is_none();
    let fields = parsed.words.last().filter(is_fields).filter(|_| lone_fields).cloned();
    let words = parsed.words.len() - usize::from(fields.is_some());
    for word in parsed.words.iter().take(words) {
        let last = specs.last_mut().filter(|spec| spec.is_any());
        match last.map(|spec| Spec::parse(word, &names).map(|found| *spec = found)) {
            Some(Ok(())) => {}
            _ => {
                let why = FILES.to_owned();
                return Err(ToolError::Refused { what: format!("lsof {word}"), why, code: 1 });
            }
        }
    }
    let choice = Choice::of(&parsed, specs, &names)?;
    let collector = session.collector()?;
    let holders = match &choice.pids {
        Some((pids, true)) => collector.socket_holders_among(pids, false),
        _ => collector.socket_holders(false),
    };
    let mut found: HashMap<u64, What> = HashMap::new();
    for table in [Table::Tcp, Table::Udp, Table::Raw] {
        sockets::each(&collector, table, true, true, &mut |one| {
            found.insert(one.inode, What::Ip(table, one));
            ControlFlow::Continue(())
        })?;
    }
    collector.unix_file(&mut |one| {
        found.insert(one.inode, What::Unix(one));
        ControlFlow::Continue(())
    })?;
    let uids = Uids(&collector);
    let mut rows = Vec::new();
    for (inode, task, fd) in holders.all() {
        let what = found.get(&inode);
        let uid = uids.of(task.pid);
        if choice.wants(task, uid, what) {
            rows.push((task, uid, fd, inode, what));
        }
    }
    rows.sort_by_key(|row| (row.0.pid, row.2));
    if rows.is_empty() {
        return Ok(1);
    }
    let show = Show { parsed: &parsed, names: &names, fields: fields.as_deref().or(parsed.value("fields")) };
    if parsed.has("terse") {
        let mut last = None;
        for (task, ..) in &rows {
            if last != Some(task.pid) {
                writeln!(session.out, "{}", task.pid)?;
            }
            last = Some(task.pid);
        }
        return Ok(0);
    }
    if parsed.has("fields") {
        return show.fields(session, &rows);
    }
    show.table(session, &rows)
}

fn bad(flag: &str, value: Option<&str>, why: &str) -> ToolError {
    ToolError::usage(format!("lsof: {why} in --{flag} {}", value.unwrap_or("")), 1)
}

/// A socket that is told of somewhere.
enum What {
    Ip(Table, IpSocket),
    Unix(UnixSocket),
}

/// Users of processes.
struct Uids<'a>(&'a netwhy_collect::Collector);

impl Uids<'_> {
    fn of(&self, pid: u32) -> u32 {
        self.0.user_of(pid).unwrap_or(0)
    }
}

/// `[46][PROTOCOL][@HOST][:PORTS]`.
#[derive(Debug, Default, Clone)]
struct Spec {
    version: Option<u8>,
    table: Option<Table>,
    host: Option<IpAddr>,
    ports: Vec<(u16, u16)>,
}

impl Spec {
    fn is_any(&self) -> bool {
        self.version.is_none() && self.table.is_none() && self.host.is_none() && self.ports.is_empty()
    }

    fn parse(text: &str, names: &Names) -> Result<Self, String> {
        let mut spec = Spec::default();
        let mut rest = text;
        if let Some(tail) = rest.strip_prefix('4') {
            (spec.version, rest) = (Some(4), tail);
        } else if let Some(tail) = rest.strip_prefix('6') {
            (spec.version, rest) = (Some(6), tail);
        }
        let end = rest.find(['@', ':']).unwrap_or(rest.len());
        spec.table = match rest[..end].to_ascii_lowercase().as_str() {
            "" => None,
            "tcp" => Some(Table::Tcp),
            "udp" => Some(Table::Udp),
            other => return Err(format!("{other} is neither TCP nor UDP")),
        };
        rest = &rest[end..];
        if let Some(tail) = rest.strip_prefix('@') {
            let (host, after) = match tail.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
                Some((host, after)) => (host, after),
                None => {
                    let end = tail.find(':').unwrap_or(tail.len());
                    tail.split_at(end)
                }
            };
            let address = host.parse().ok().or_else(|| names.address(host));
            spec.host = Some(address.ok_or_else(|| format!("{host} is no address"))?);
            rest = after;
        }
        if let Some(list) = rest.strip_prefix(':') {
            for word in list.split(',') {
                let port = |word: &str| word.parse().ok().or_else(|| names.port(word));
                let range = word.split_once('-').and_then(|(a, b)| Some((port(a)?, port(b)?)));
                let one = range.or_else(|| port(word).map(|port| (port, port)));
                spec.ports.push(one.ok_or_else(|| format!("{word} is no port"))?);
            }
        } else if !rest.is_empty() {
            return Err(format!("{rest} is not understood"));
        }
        Ok(spec)
    }

    fn fits(&self, table: Table, one: &IpSocket) -> bool {
        let inside = |port: u16| self.ports.iter().any(|(a, b)| (*a..=*b).contains(&port));
        let is = |address: IpAddr| self.host.is_none_or(|host| host == address.to_canonical());
        self.version.is_none_or(|version| (version == 6) == one.six)
            && self.table.is_none_or(|own| own == table)
            && (is(one.local) || is(one.remote))
            && (self.ports.is_empty() || inside(one.lport) || inside(one.rport))
    }
}

/// What is chosen.
struct Choice<'a> {
    all: bool,
    internet: Option<Vec<Spec>>,
    unix: bool,
    /// Processes, and whether they are wanted or not.
    pids: Option<(Vec<u32>, bool)>,
    commands: Vec<&'a str>,
    users: Option<Vec<u32>>,
    /// Protocol, state words, and whether they are wanted or not.
    states: Vec<(Table, Vec<String>, bool)>,
}

impl<'a> Choice<'a> {
    fn of(parsed: &'a Parsed, specs: Vec<Spec>, names: &Names) -> Result<Self, ToolError> {
        let mut pids: Option<(Vec<u32>, bool)> = None;
        for word in parsed.values("pid").flat_map(|list| list.split(',')) {
            let (word, wanted) = match word.strip_prefix('^') {
                Some(rest) => (rest, false),
                None => (word, true),
            };
            let pid = word.parse().map_err(|_| bad("pid", Some(word), "no process id"))?;
            pids.get_or_insert((Vec::new(), wanted)).0.push(pid);
        }
        let mut users: Option<Vec<u32>> = None;
        for word in parsed.values("user").flat_map(|list| list.split(',')) {
            let uid = word.parse().ok().or_else(|| names.user_id(word));
            users.get_or_insert_default().push(uid.ok_or_else(|| bad("user", Some(word), "no such user"))?);
        }
        let mut states = Vec::new();
        for word in parsed.values("state") {
            let Some((protocol, list)) = word.split_once(':') else {
                return Err(bad("state", Some(word), "no PROTOCOL:STATES"));
            };
            let table = match protocol.to_ascii_lowercase().as_str() {
                "tcp" => Table::Tcp,
                "udp" => Table::Udp,
                _ => return Err(bad("state", Some(word), "neither TCP nor UDP")),
            };
            let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
            for state in list.split(',') {
                match state.strip_prefix('^') {
                    Some(state) => unwanted.push(state.to_ascii_uppercase()),
                    None => wanted.push(state.to_ascii_uppercase()),
                }
            }
            for (words, keep) in [(wanted, true), (unwanted, false)] {
                if !words.is_empty() {
                    states.push((table, words, keep));
                }
            }
        }
        Ok(Choice {
            all: parsed.has("and"),
            internet: parsed.has("internet").then_some(specs),
            unix: parsed.has("unix"),
            pids,
            commands: parsed.values("command").collect(),
            users,
            states,
        })
    }

    fn wants(&self, task: &Task, uid: u32, what: Option<&What>) -> bool {
        let mut conditions = Vec::new();
        if let Some(specs) = &self.internet {
            let fits = match what {
                // Raw sockets have no ports and are no Internet files to the original.
                Some(What::Ip(Table::Raw, _)) => false,
                Some(What::Ip(table, one)) => {
                    (specs.is_empty() || specs.iter().any(|spec| spec.fits(*table, one)))
                        && self.in_state(*table, one)
                }
                _ => false,
            };
            conditions.push(fits);
        }
        if self.unix {
            conditions.push(matches!(what, Some(What::Unix(_))));
        }
        if let Some((pids, wanted)) = &self.pids {
            let listed = pids.contains(&task.pid);
            if !wanted && listed {
                return false;
            }
            if *wanted {
                conditions.push(listed);
            }
        }
        if !self.commands.is_empty() {
            conditions.push(self.commands.iter().any(|start| task.comm.starts_with(start)));
        }
        if let Some(users) = &self.users {
            conditions.push(users.contains(&uid));
        }
        match (conditions.is_empty(), self.all) {
            (true, _) => true,
            (false, true) => conditions.iter().all(|one| *one),
            (false, false) => conditions.iter().any(|one| *one),
        }
    }

    fn in_state(&self, table: Table, one: &IpSocket) -> bool {
        let word = state_word(one.state);
        self.states
            .iter()
            .all(|(own, words, wanted)| *own != table || words.iter().any(|state| state == word) == *wanted)
    }
}

type Row<'a> = (&'a Task, u32, u32, u64, Option<&'a What>);

struct Show<'a> {
    parsed: &'a Parsed,
    names: &'a Names,
    /// Letters of `-F`.
    fields: Option<&'a str>,
}

impl Show<'_> {
    fn user(&self, uid: u32) -> String {
        match self.names.user(uid) {
            Some(name) if !self.parsed.has("no-users") => escape_terminal(name).into_owned(),
            _ => uid.to_string(),
        }
    }

    fn host(&self, one: &IpSocket, address: IpAddr) -> String {
        match address.to_canonical() {
            address if address.is_unspecified() => "*".to_owned(),
            address => match self.names.host(address) {
                Some(name) if !(self.parsed.has("no-names") || one.six && address.is_ipv6()) => {
                    escape_terminal(name).into_owned()
                }
                _ if address.is_ipv6() => format!("[{address}]"),
                _ => address.to_string(),
            },
        }
    }

    fn port(&self, table: Table, port: u16) -> String {
        let transport = if table == Table::Udp { "udp" } else { "tcp" };
        match self.names.service(transport, port) {
            _ if port == 0 => "*".to_owned(),
            Some(name) if !self.parsed.has("no-ports") => escape_terminal(name).into_owned(),
            _ => port.to_string(),
        }
    }

    fn ends(&self, table: Table, one: &IpSocket) -> String {
        let local = format!("{}:{}", self.host(one, one.local), self.port(table, one.lport));
        match one.rport {
            0 => local,
            _ => format!("{local}->{}:{}", self.host(one, one.remote), self.port(table, one.rport)),
        }
    }

    /// TYPE, DEVICE, NODE, NAME.
    fn columns(&self, inode: u64, what: Option<&What>) -> [String; 4] {
        match what {
            Some(What::Ip(Table::Raw, one)) => {
                let name = self.names.protocol(one.lport).map_or(one.lport.to_string(), str::to_owned);
                let ends = format!("{}:{name}", self.host(one, one.local));
                [ip_type(one), inode.to_string(), "raw".into(), format!("{ends} st={:02X}", one.state)]
            }
            Some(What::Ip(table, one)) => {
                let (node, name) = match table {
                    Table::Udp => ("UDP", format!("{} ", self.ends(*table, one))),
                    _ => ("TCP", format!("{} ({})", self.ends(*table, one), state_word(one.state))),
                };
                [ip_type(one), inode.to_string(), node.into(), name]
            }
            Some(What::Unix(one)) => {
                let kind = match one.kind {
                    1 => "STREAM",
                    2 => "DGRAM",
                    5 => "SEQPACKET",
                    _ => "UNKNOWN",
                };
                let state = match one.state {
                    10 => "LISTEN",
                    1 => "CONNECTED",
                    _ => "UNCONNECTED",
                };
                let path =
                    one.name.as_deref().map_or(String::new(), |name| format!("{} ", escape_terminal(name)));
                let device = format!("0x{}", one.address.as_deref().unwrap_or("0"));
                ["unix".into(), device, inode.to_string(), format!("{path}type={kind} ({state})")]
            }
            None => ["sock".into(), "0,8".into(), inode.to_string(), "protocol unknown".into()],
        }
    }

    fn table(&self, session: &mut Session<'_>, rows: &[Row<'_>]) -> Result<u8, ToolError> {
        let cells: Vec<[String; 9]> = rows
            .iter()
            .map(|(task, uid, fd, inode, what)| {
                let [kind, device, node, name] = self.columns(*inode, *what);
                let command: String = task.comm.chars().take(9).collect();
                let command = escape_terminal(&command).into_owned();
                let (pid, user) = (task.pid.to_string(), self.user(*uid));
                [command, pid, user, format!("{fd}u"), kind, device, "0t0".into(), node, name]
            })
            .collect();
        let heading = ["COMMAND", "PID", "USER", "FD", "TYPE", "DEVICE", "SIZE/OFF", "NODE", "NAME"];
        let width = |column: usize| {
            let longest = cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            longest.max(heading[column].len())
        };
        let widths: Vec<usize> = (0..8).map(width).collect();
        let mut line = |row: &[&str; 9]| {
            let [command, pid, user, fd, kind, device, size, node, name] = row;
            // The descriptor's number stands right, and its mode behind it under nothing.
            let (fd, mode) = match fd.strip_suffix('u') {
                Some(number) => (number, "u"),
                None => (*fd, " "),
            };
            writeln!(
                session.out,
                "{command:<a$} {pid:>b$} {user:>c$} {fd:>d$}{mode}  {kind:>e$} {device:>f$} {size:>g$} {node:>h$} {name}",
                a = widths[0],
                b = widths[1],
                c = widths[2],
                d = widths[3].max(4),
                e = widths[4],
                f = widths[5],
                g = widths[6],
                h = widths[7],
            )
        };
        line(&heading)?;
        for row in &cells {
            line(&row.each_ref().map(String::as_str))?;
        }
        Ok(0)
    }

    /// `-F`: one field a line, each behind its letter; the process's before its files'.
    fn fields(&self, session: &mut Session<'_>, rows: &[Row<'_>]) -> Result<u8, ToolError> {
        let wanted = self.fields.filter(|fields| !fields.is_empty()).unwrap_or("pcuftPnT");
        let has = |letter: char| wanted.contains(letter);
        let mut last = None;
        for (task, uid, fd, inode, what) in rows {
            if last != Some(task.pid) {
                writeln!(session.out, "p{}", task.pid)?;
                if has('c') {
                    writeln!(session.out, "c{}", escape_terminal(&task.comm))?;
                }
                if has('u') {
                    writeln!(session.out, "u{uid}")?;
                }
                if has('L') {
                    writeln!(session.out, "L{}", self.user(*uid))?;
                }
                last = Some(task.pid);
            }
            let [kind, device, node, name] = self.columns(*inode, *what);
            if has('f') {
                writeln!(session.out, "f{fd}")?;
            }
            if has('t') {
                writeln!(session.out, "t{kind}")?;
            }
            if has('d') {
                writeln!(session.out, "d{device}")?;
            }
            if has('P') && matches!(what, Some(What::Ip(..))) {
                writeln!(session.out, "P{node}")?;
            }
            if has('n') {
                let plain = match what {
                    Some(What::Ip(table, one)) => self.ends(*table, one),
                    _ => name,
                };
                writeln!(session.out, "n{}", plain.trim_end())?;
            }
            if has('T')
                && let Some(What::Ip(Table::Tcp, one)) = what
            {
                writeln!(session.out, "TST={}", state_word(one.state))?;
            }
        }
        Ok(0)
    }
}

fn ip_type(one: &IpSocket) -> String {
    if one.six { "IPv6".into() } else { "IPv4".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_about_has_versions_protocols_hosts_and_ports() {
        let names = Names::of(std::path::Path::new("/nonexistent"));
        let spec = |text: &str| Spec::parse(text, &names);
        let all = spec("4TCP@192.0.2.1:80,8000-8080").unwrap();
        assert_eq!(
            (all.version, all.table, all.ports),
            (Some(4), Some(Table::Tcp), vec![(80, 80), (8000, 8080)])
        );
        assert_eq!(all.host, Some("192.0.2.1".parse().unwrap()));
        assert!(spec("").unwrap().is_any());
        assert_eq!(spec("6@[2001:db8::1]:443").unwrap().host, Some("2001:db8::1".parse().unwrap()));
        for wrong in ["sctp", ":x", "@nohost", "tcp@192.0.2.1x"] {
            assert!(spec(wrong).is_err(), "{wrong}");
        }
    }
}
