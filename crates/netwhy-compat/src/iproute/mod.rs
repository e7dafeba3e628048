//! What the tools of iproute2 (`ip`, `bridge`, `tc`) share: flags, the page, names, words, errors.

pub(crate) mod page;
pub(crate) mod tables;
pub(crate) mod words;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::io::Write;

use netwhy_change::{ChangeError, RouteWriter};
use netwhy_collect::{CollectError, Collector, Listing, Scope};
use netwhy_sys::netlink::{NetlinkError, Protocol};
use netwhy_wire::netlink::{AttributeError, Builder, Fixed, Table};

use crate::flags::{Flag, Parsed, Style};
use crate::session::{Session, ToolError};
pub(crate) use page::{Page, Paint};
pub(crate) use tables::Tables;

/// Families (uapi `linux/socket.h`).
pub(crate) const AF_UNSPEC: u8 = 0;
pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_BRIDGE: u8 = 7;
pub(crate) const AF_INET6: u8 = 10;
pub(crate) const AF_PACKET: u8 = 17;
pub(crate) const AF_MPLS: u8 = 28;

/// The exit code for what the kernel refused.
pub(crate) const REFUSED: u8 = 2;
/// The exit code for a command line that makes no sense (`exit(-1)`).
pub(crate) const WRONG: u8 = 255;

/// What the flags say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) family: u8,
    pub(crate) details: bool,
    pub(crate) stats: usize,
    pub(crate) brief: bool,
    pub(crate) oneline: bool,
    pub(crate) human: bool,
    pub(crate) iec: bool,
    pub(crate) timestamp: bool,
    pub(crate) short_time: bool,
    pub(crate) all: bool,
    pub(crate) json: bool,
    pub(crate) pretty: bool,
    pub(crate) color: bool,
    pub(crate) numeric: bool,
    pub(crate) force: bool,
}

/// How iproute2 writes its flags.
pub(crate) const STYLE: Style = Style { single_dash: true, anywhere: false, code: WRONG };

/// The flags `ip` understands, in the order in which shortened ones are found.
pub(crate) const IP_FLAGS: &[Flag] = &[
    Flag::value('l', "loops", "COUNT", "how often flushing is tried"),
    Flag::value('f', "family", "FAMILY", "inet, inet6, bridge, mpls or link"),
    Flag::switch('4', "4", "IPv4"),
    Flag::switch('6', "6", "IPv6"),
    Flag::switch('0', "0", "the link layer"),
    Flag::switch('M', "M", "MPLS"),
    Flag::switch('B', "B", "bridges"),
    Flag::switch('h', "human-readable", "rounded figures"),
    Flag::switch('\0', "human", "rounded figures"),
    Flag::switch('\0', "iec", "rounded figures in powers of 1024"),
    Flag::switch('s', "stats", "counters; twice for more"),
    Flag::switch('\0', "statistics", "counters; twice for more"),
    Flag::switch('d', "details", "all attributes"),
    Flag::switch('r', "resolve", "names instead of addresses")
        .refused("netwhy asks no name server on its own; resolve one address with dig -x"),
    Flag::switch('o', "oneline", "one line for each object"),
    Flag::switch('t', "timestamp", "the time of each event"),
    Flag::switch('\0', "tshort", "the time of each event in short"),
    Flag::switch('V', "Version", "the version"),
    Flag::switch('\0', "force", "go on after an error in a batch"),
    Flag::value('b', "batch", "FILE", "commands from a file, or - for standard input"),
    Flag::switch('\0', "brief", "one line for each device"),
    Flag::switch('j', "json", "JSON"),
    Flag::value('\0', "rcvbuf", "BYTES", "the socket's receive buffer").ignored("the buffer grows by itself"),
    Flag::value('c', "color", "WHEN", "colours: always, auto, never").maybe(),
    Flag::switch('\0', "help", "the usage"),
    Flag::value('n', "netns", "NAME", "in another namespace"),
    Flag::switch('N', "Numeric", "numbers instead of names"),
    Flag::switch('a', "all", "every namespace"),
    Flag::switch('p', "pretty", "JSON on many lines"),
];

impl Options {
    /// What was given. The family's word may be wrong.
    pub(crate) fn read(parsed: &Parsed, session: &Session<'_>) -> Result<Self, ToolError> {
        let mut options = Options {
            details: parsed.has("details"),
            stats: parsed.count("stats") + parsed.count("statistics"),
            brief: parsed.has("brief"),
            oneline: parsed.has("oneline"),
            human: parsed.has("human") || parsed.has("human-readable"),
            iec: parsed.has("iec"),
            timestamp: parsed.has("timestamp") || parsed.has("tshort"),
            short_time: parsed.has("tshort"),
            all: parsed.has("all"),
            json: parsed.has("json") || session.json,
            pretty: parsed.has("pretty"),
            numeric: parsed.has("Numeric"),
            force: parsed.has("force"),
            ..Self::default()
        };
        options.color = match (parsed.has("color"), parsed.value("color")) {
            (false, _) => session.color && session.columns.is_some(),
            (true, None | Some("always")) => true,
            (true, Some("auto")) => session.columns.is_some(),
            (true, Some("never")) => false,
            (true, Some(word)) => {
                return Err(ToolError::usage(
                    format!("Option \"-color={word}\" is unknown, try \"ip -help\"."),
                    WRONG,
                ));
            }
        };
        for (name, value) in parsed.given() {
            options.family = match (name, value) {
                ("4", _) | ("family", Some("inet")) => AF_INET,
                ("6", _) | ("family", Some("inet6")) => AF_INET6,
                ("0", _) | ("family", Some("link")) => AF_PACKET,
                ("M", _) | ("family", Some("mpls")) => AF_MPLS,
                ("B", _) | ("family", Some("bridge")) => AF_BRIDGE,
                ("family", Some("any")) => AF_UNSPEC,
                ("family", Some(word)) => {
                    return Err(ToolError::usage(
                        format!("Error: argument \"{word}\" is wrong: invalid protocol family\n"),
                        WRONG,
                    ));
                }
                _ => options.family,
            };
        }
        Ok(options)
    }
}

/// What printing an object needs to know besides the object.
pub(crate) struct Look {
    pub(crate) options: Options,
    pub(crate) tables: Tables,
    pub(crate) names: crate::names::Names,
    pub(crate) devices: Devices,
    pub(crate) namespaces: OnceCell<Vec<(i32, String)>>,
}

/// Names of devices by index.
#[derive(Debug, Default, Clone)]
pub(crate) struct Devices {
    names: HashMap<u32, String>,
    /// `IFF_` flags, for what is said about a device below another.
    flags: HashMap<u32, u32>,
    /// Lengths of transmit queues, which IPv6's view of a device leaves out.
    queues: HashMap<u32, u32>,
}

impl Devices {
    /// The name, or `if5` for a device that is not known.
    pub(crate) fn name(&self, index: u32) -> Cow<'_, str> {
        match self.names.get(&index) {
            Some(name) => Cow::Borrowed(name),
            None if index == 0 => Cow::Borrowed("*"),
            None => Cow::Owned(format!("if{index}")),
        }
    }

    pub(crate) fn index(&self, name: &str) -> Option<u32> {
        self.names.iter().find(|(_, known)| *known == name).map(|(index, _)| *index)
    }

    pub(crate) fn put(&mut self, index: u32, name: &str, flags: u32) {
        self.names.insert(index, name.to_owned());
        self.flags.insert(index, flags);
    }

    pub(crate) fn remove(&mut self, index: u32) {
        self.names.remove(&index);
        self.flags.remove(&index);
    }

    pub(crate) fn put_queue(&mut self, index: u32, length: u32) {
        self.queues.insert(index, length);
    }

    /// The length of its transmit queue in packets.
    pub(crate) fn queue(&self, index: u32) -> Option<u32> {
        self.queues.get(&index).copied()
    }

    /// Its flags, if it is in this namespace.
    pub(crate) fn flags(&self, index: u32) -> Option<u32> {
        self.flags.get(&index).copied()
    }
}

/// A run of one of iproute2's tools.
pub(crate) struct Ctx<'a> {
    pub(crate) page: Page<'a>,
    pub(crate) err: &'a mut dyn Write,
    pub(crate) look: Look,
    pub(crate) collector: Collector,
    pub(crate) scope: Scope,
    /// Files a message speaks of: they stay open until it was sent.
    pub(crate) keep: Vec<std::fs::File>,
}

pub(crate) const RTM_GETLINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
const IFLA_TXQLEN: u16 = 13;
const IFLA_ALT_IFNAME: u16 = 53;

impl<'a> Ctx<'a> {
    /// Opens the namespace and prepares the page.
    pub(crate) fn new(session: &'a mut Session<'_>, options: Options) -> Result<Self, ToolError> {
        let collector = session.collector()?;
        let scope = session.scope.clone();
        let mut page = Page::new(&mut *session.out);
        if options.json {
            page.set_json(options.pretty);
        } else {
            page.set_text(options.oneline, options.color);
        }
        let look = Look {
            tables: Tables::new(&scope.root, options.numeric),
            names: crate::names::Names::of(&scope.root),
            devices: Devices::default(),
            namespaces: OnceCell::new(),
            options,
        };
        Ok(Ctx { page, err: &mut *session.err, look, collector, scope, keep: Vec::new() })
    }

    /// Streams a listing; an interrupted one is told on standard error.
    pub(crate) fn dump(
        &mut self,
        kind: u16,
        request: &[u8],
        mut each: impl FnMut(&mut Page<'_>, &Look, u16, &[u8]) -> Result<(), ToolError>,
    ) -> Result<(), ToolError> {
        let (page, look) = (&mut self.page, &self.look);
        let listing = self
            .collector
            .stream::<ToolError>(Protocol::Route, kind, request, |kind, payload| {
                each(page, look, kind, payload)
            })
            .map_err(kernel)?;
        self.warn(listing)
    }

    /// Keeps a listing whole.
    pub(crate) fn gather(&mut self, kind: u16, request: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, ToolError> {
        let mut all = Vec::new();
        self.dump(kind, request, |_, _, kind, payload| {
            all.push((kind, payload.to_vec()));
            Ok(())
        })?;
        Ok(all)
    }

    fn warn(&mut self, listing: Listing) -> Result<(), ToolError> {
        if listing == Listing::Interrupted {
            self.page.flush()?;
            writeln!(self.err, "Dump was interrupted and may be inconsistent.")?;
        }
        Ok(())
    }

    /// Asks for one object.
    pub(crate) fn ask(&mut self, kind: u16, request: Builder) -> Result<Vec<(u16, Vec<u8>)>, ToolError> {
        let payload = request.finish().map_err(|error| ToolError::failed(error.to_string(), REFUSED))?;
        self.collector.ask_one(Protocol::Route, kind, &payload).map_err(|error| kernel(error.into()))
    }

    /// Reads every device's name.
    pub(crate) fn load_devices(&mut self) -> Result<(), ToolError> {
        let mut devices = Devices::default();
        self.dump(RTM_GETLINK, &[0; 16], |_, _, _, payload| {
            let index = Fixed(payload).u32(4).unwrap_or(0);
            let table: Table<'_, 16> = Table::after(payload, 16).map_err(broken("link"))?;
            if let Some(length) = table.u32(IFLA_TXQLEN)? {
                devices.put_queue(index, length);
            }
            if let Some(name) = table.text(IFLA_IFNAME) {
                devices.put(index, &name, Fixed(payload).u32(8).unwrap_or(0));
            }
            Ok(())
        })?;
        self.look.devices = devices;
        Ok(())
    }

    /// The index of a device by name, alternative name or `if5`; an error in iproute2's words.
    pub(crate) fn device(&mut self, name: &str) -> Result<u32, ToolError> {
        self.find_device(name)?.ok_or_else(|| ToolError::failed(format!("Cannot find device \"{name}\""), 1))
    }

    /// As [`Self::device`], without complaint.
    pub(crate) fn find_device(&mut self, name: &str) -> Result<Option<u32>, ToolError> {
        if let Some(index) = self.look.devices.index(name) {
            return Ok(Some(index));
        }
        let mut request = Builder::with_header(&[0; 16]);
        request.str(if name.len() < 16 { IFLA_IFNAME } else { IFLA_ALT_IFNAME }, name);
        let mut found = self.ask(RTM_GETLINK, request);
        if found.is_err() && name.len() < 16 {
            let mut request = Builder::with_header(&[0; 16]);
            request.str(IFLA_ALT_IFNAME, name);
            found = self.ask(RTM_GETLINK, request);
        }
        let Ok(replies) = found else {
            let number = name.strip_prefix("if").and_then(|rest| rest.parse().ok());
            return Ok(number.filter(|number| self.look.devices.names.contains_key(number)));
        };
        let Some((_, payload)) = replies.first() else { return Ok(None) };
        let index = Fixed(payload).u32(4).unwrap_or(0);
        let table: Table<'_, 4> = Table::after(payload, 16)?;
        if let Some(name) = table.text(IFLA_IFNAME) {
            self.look.devices.put(index, &name, Fixed(payload).u32(8).unwrap_or(0));
        }
        Ok(Some(index))
    }

    /// Says what is about to change and how to take it back.
    pub(crate) fn announce(&mut self, what: &str, undo: Option<&str>) -> Result<(), ToolError> {
        self.page.flush()?;
        crate::session::announce(self.err, what, undo)
    }

    /// Sends one change.
    pub(crate) fn change(&mut self, kind: u16, flags: u16, message: Builder) -> Result<(), ToolError> {
        let outcome = self.collector.netlink(Protocol::Route, |socket| {
            Ok(RouteWriter::new(socket).order(String::new(), kind, flags, message))
        })?;
        outcome.map_err(|error| match error {
            ChangeError::Netlink { error, .. } => ToolError::failed(words_of(&error), REFUSED),
            other => ToolError::failed(other.to_string(), REFUSED),
        })
    }

    /// The name of a namespace by the id it has here.
    pub(crate) fn load_namespaces(&mut self) {
        let names = netns_ids(&self.collector, &self.scope);
        self.look.namespaces = OnceCell::from(names);
    }
}

impl Look {
    /// The name of a peer namespace.
    pub(crate) fn namespace(&self, id: i32) -> Option<&str> {
        let known = self.namespaces.get()?;
        known.iter().find(|(number, _)| *number == id).map(|(_, name)| name.as_str())
    }
}

const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

/// Every named namespace with its id as seen from here; those without an id are left out.
pub(crate) fn netns_ids(collector: &Collector, scope: &Scope) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for name in netns_names(scope) {
        if let Some(id) = netns_id(collector, &scope.root.join("run/netns").join(&name)) {
            found.push((id, name));
        }
    }
    found
}

/// The names under `/run/netns`, in the order of the directory.
pub(crate) fn netns_names(scope: &Scope) -> Vec<String> {
    let entries = std::fs::read_dir(scope.root.join("run/netns"));
    entries.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The id a namespace has here, if it has one.
pub(crate) fn netns_id(collector: &Collector, path: &std::path::Path) -> Option<i32> {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open(path).ok()?;
    let mut request = Builder::with_header(&[0; 4]);
    request.i32(NETNSA_FD, file.as_raw_fd());
    let payload = request.finish().ok()?;
    let replies = collector.ask_one(Protocol::Route, RTM_GETNSID, &payload).ok()?;
    let (_, payload) = replies.first()?;
    let table: Table<'_, 6> = Table::after(payload, 4).ok()?;
    table.i32(NETNSA_NSID).ok().flatten().filter(|id| *id >= 0)
}

/// A kernel's refusal in iproute2's words and with its exit code.
pub(crate) fn kernel(error: ToolError) -> ToolError {
    let ToolError::Collect(CollectError::Netlink(error)) = error else { return error };
    ToolError::failed(words_of(&error), REFUSED)
}

/// `Error: TEXT.` for a refusal with a reason, `RTNETLINK answers: TEXT` for one without.
pub(crate) fn words_of(error: &NetlinkError) -> String {
    match error {
        NetlinkError::Refused(refusal) => match &refusal.message {
            Some(text) if !text.is_empty() => {
                let stop = if text.ends_with(['.', '\n']) { "" } else { "." };
                format!("Error: {text}{stop}")
            }
            _ => format!("RTNETLINK answers: {}", refusal.errno.description()),
        },
        other => other.to_string(),
    }
}

/// A broken attribute in what the kernel sent.
pub(crate) fn broken(what: &'static str) -> impl Fn(AttributeError) -> ToolError + Copy {
    move |error| ToolError::failed(format!("the kernel's message about a {what} is broken: {error}"), REFUSED)
}

impl From<AttributeError> for ToolError {
    fn from(error: AttributeError) -> Self {
        ToolError::failed(format!("the kernel's message is broken: {error}"), REFUSED)
    }
}

/// Bytes as hexadecimal with colons.
pub(crate) fn mac(bytes: &[u8]) -> String {
    let words: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    words.join(":")
}

/// A hardware address in the manner of the device's type: four bytes of a tunnel are an IPv4 address.
pub(crate) fn lladdr(bytes: &[u8], arphrd: u16) -> String {
    const TUNNEL: u16 = 768;
    const SIT: u16 = 776;
    const IPGRE: u16 = 778;
    const TUNNEL6: u16 = 769;
    const IP6GRE: u16 = 823;
    if let Ok(four) = <[u8; 4]>::try_from(bytes)
        && matches!(arphrd, TUNNEL | SIT | IPGRE)
    {
        return std::net::Ipv4Addr::from(four).to_string();
    }
    if let Ok(sixteen) = <[u8; 16]>::try_from(bytes)
        && matches!(arphrd, TUNNEL6 | IP6GRE)
    {
        return std::net::Ipv6Addr::from(sixteen).to_string();
    }
    mac(bytes)
}

/// The word of a family in JSON and in `-f`.
pub(crate) fn family_word(family: u8) -> &'static str {
    match family {
        AF_INET => "inet",
        AF_INET6 => "inet6",
        AF_BRIDGE => "bridge",
        AF_PACKET => "link",
        AF_MPLS => "mpls",
        128 => "ipmr",
        129 => "ip6mr",
        _ => "???",
    }
}
