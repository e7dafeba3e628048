//! conntrack's command line.

use std::net::{IpAddr, SocketAddr};

use netwhy_collect::conntrack::{CtFilter, CtNat, CtSide};
use netwhy_facts::conntrack::CtTuple;
use netwhy_facts::{Family, IpNet};

use super::line::Extras;
use super::words;
use crate::flags::{self, Flag, Parsed, Style};
use crate::{Session, ToolError};

const STYLE: Style = Style { single_dash: false, anywhere: true, code: 2 };

const FLAGS: &[Flag] = &[
    Flag::switch('L', "dump", "list a table: conntrack, expect, dying, unconfirmed"),
    Flag::switch('G', "get", "show the one entry of a whole tuple"),
    Flag::switch('D', "delete", "delete the entries that fit"),
    Flag::switch('I', "create", "make an entry without translation"),
    Flag::switch('A', "add", "the same"),
    Flag::switch('U', "update", "set mark or timeout of the entries that fit"),
    Flag::switch('E', "event", "follow events of conntrack or expect"),
    Flag::switch('F', "flush", "delete everything of a table"),
    Flag::switch('C', "count", "how many entries there are"),
    Flag::switch('S', "stats", "statistics of each CPU"),
    Flag::switch('h', "help", "this text"),
    Flag::switch('V', "version", "the version"),
    Flag::value('R', "load-file", "FILE", "make the entries of a file")
        .refused("make them with -I, one by one"),
    Flag::value('s', "src", "ADDRESS[/LENGTH]", "source of the original direction"),
    Flag::value('\0', "orig-src", "ADDRESS[/LENGTH]", "the same"),
    Flag::value('d', "dst", "ADDRESS[/LENGTH]", "destination of the original direction"),
    Flag::value('\0', "orig-dst", "ADDRESS[/LENGTH]", "the same"),
    Flag::value('r', "reply-src", "ADDRESS[/LENGTH]", "source of the reply direction"),
    Flag::value('q', "reply-dst", "ADDRESS[/LENGTH]", "destination of the reply direction"),
    Flag::value('\0', "mask-src", "MASK", "which bits of -s count"),
    Flag::value('\0', "mask-dst", "MASK", "which bits of -d count"),
    Flag::value('p', "proto", "PROTOCOL", "tcp, udp, icmp, icmpv6, sctp, udplite, dccp, gre or a number"),
    Flag::value('\0', "protonum", "PROTOCOL", "the same"),
    Flag::value('f', "family", "FAMILY", "ipv4 or ipv6"),
    Flag::value('t', "timeout", "SECONDS", "with -I and -U: how long it lasts"),
    Flag::value('m', "mark", "MARK[/MASK]", "the mark"),
    Flag::value('l', "label", "LABEL", "a label")
        .refused("labels are shown as numbers with -o labels, not filtered by"),
    Flag::value('\0', "label-add", "LABEL", "a label").refused("labels are not changed"),
    Flag::value('\0', "label-del", "LABEL", "a label").maybe().refused("labels are not changed"),
    Flag::value('c', "secmark", "MARK", "a security mark").refused("the kernel no longer tells it"),
    Flag::value(
        'u',
        "status",
        "STATUS[,...]",
        "EXPECTED, SEEN_REPLY, ASSURED, FIXED_TIMEOUT, OFFLOAD, UNSET",
    ),
    Flag::value('n', "src-nat", "ADDRESS", "translated sources").maybe(),
    Flag::value('g', "dst-nat", "ADDRESS", "translated destinations").maybe(),
    Flag::value('j', "any-nat", "ADDRESS", "either").maybe(),
    Flag::value('w', "zone", "ZONE", "the zone"),
    Flag::value('\0', "orig-zone", "ZONE", "the zone of the original direction"),
    Flag::value('\0', "reply-zone", "ZONE", "the zone of the reply direction"),
    Flag::value('e', "event-mask", "NEW|UPDATES|DESTROY[,...]", "which events -E shows"),
    Flag::value('b', "buffer-size", "BYTES", "the socket's buffer for -E"),
    Flag::switch('z', "zero", "set counters to zero while listing"),
    Flag::value(
        'o',
        "output",
        "FORM[,...]",
        "extended, xml, save, timestamp, id, ktimestamp, labels, userspace, json",
    ),
    Flag::value('\0', "sport", "PORT", "source port of the original direction"),
    Flag::value('\0', "orig-port-src", "PORT", "the same"),
    Flag::value('\0', "dport", "PORT", "destination port of the original direction"),
    Flag::value('\0', "orig-port-dst", "PORT", "the same"),
    Flag::value('\0', "reply-port-src", "PORT", "source port of the reply direction"),
    Flag::value('\0', "reply-port-dst", "PORT", "destination port of the reply direction"),
    Flag::value('\0', "state", "STATE", "the state of TCP, SCTP or DCCP"),
    Flag::value('\0', "icmp-type", "TYPE", "the ICMP type"),
    Flag::value('\0', "icmp-code", "CODE", "the ICMP code"),
    Flag::value('\0', "icmp-id", "ID", "the ICMP identifier"),
    Flag::value('\0', "icmpv6-type", "TYPE", "the ICMPv6 type"),
    Flag::value('\0', "icmpv6-code", "CODE", "the ICMPv6 code"),
    Flag::value('\0', "icmpv6-id", "ID", "the ICMPv6 identifier"),
    Flag::value('\0', "srckey", "KEY", "GRE key of the source"),
    Flag::value('\0', "orig-key-src", "KEY", "the same"),
    Flag::value('\0', "dstkey", "KEY", "GRE key of the destination"),
    Flag::value('\0', "orig-key-dst", "KEY", "the same"),
    Flag::value('\0', "reply-key-src", "KEY", "GRE key of the reply's source"),
    Flag::value('\0', "reply-key-dst", "KEY", "GRE key of the reply's destination"),
    Flag::value('\0', "orig-vtag", "TAG", "SCTP verification tag"),
    Flag::value('\0', "reply-vtag", "TAG", "SCTP verification tag of the reply"),
    Flag::value('\0', "role", "ROLE", "the role in DCCP").refused("Linux 6.16 and later track no DCCP"),
    Flag::value('\0', "tuple-src", "ADDRESS", "of an expectation")
        .refused("expectations are listed, not filtered"),
    Flag::value('\0', "tuple-dst", "ADDRESS", "of an expectation")
        .refused("expectations are listed, not filtered"),
];

/// What is to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Command {
    #[default]
    List,
    Get,
    Delete,
    Create,
    Update,
    Events,
    Flush,
    Count,
    Stats,
    Help,
    Version,
}

/// Which table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Table {
    #[default]
    Conntrack,
    Expect,
    Dying,
    Unconfirmed,
}

/// How entries are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Form {
    #[default]
    Lines,
    Save,
    Xml,
    Json,
}

/// The command line, understood.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub(super) command: Command,
    pub(super) table: Table,
    pub(super) filter: CtFilter,
    pub(super) form: Form,
    pub(super) extras: Extras,
    /// When each event came.
    pub(super) timestamp: bool,
    /// Counters are set to zero while listing.
    pub(super) zero: bool,
    /// Events wanted: 1 new, 2 updates, 4 ends.
    pub(super) events: u8,
    pub(super) buffer: Option<usize>,
    /// To be set: mark and the bits it replaces.
    pub(super) set_mark: Option<(u32, u32)>,
    pub(super) set_status: Option<u32>,
    pub(super) timeout: Option<u32>,
}

impl Options {
    /// The original direction's tuple, if all of it is named.
    pub(super) fn exact(&self) -> Option<CtTuple> {
        let filter = &self.filter;
        let whole = |net: &Option<IpNet>| {
            let net = net.as_ref()?;
            (net.len == Family::of(&net.addr).bits()).then_some(net.addr)
        };
        let (src, dst, proto) = (whole(&filter.orig.src)?, whole(&filter.orig.dst)?, filter.proto?);
        let (sport, dport) = match proto {
            1 | 58 => {
                (filter.orig.sport?, u16::from_be_bytes([filter.icmp_type?, filter.icmp_code.unwrap_or(0)]))
            }
            proto if words::has_ports(proto) || proto == 47 => (filter.orig.sport?, filter.orig.dport?),
            _ => (0, 0),
        };
        Some(CtTuple { src, dst, proto, sport, dport })
    }

    /// Why an entry with this mirror cannot be made: a reply that is translated.
    pub(super) fn reply_differs(&self, mirror: &CtTuple) -> Option<String> {
        let reply = &self.filter.reply;
        let differs = !self.filter.nat.is_empty()
            || reply.src.as_ref().is_some_and(|net| net.addr != mirror.src)
            || reply.dst.as_ref().is_some_and(|net| net.addr != mirror.dst)
            || reply.sport.is_some_and(|port| port != mirror.sport)
            || reply.dport.is_some_and(|port| port != mirror.dport);
        differs.then(|| "only entries without translation are made".to_owned())
    }
}

/// What conntrack understands here.
pub(super) fn help() -> String {
    format!("Usage: conntrack COMMAND [TABLE] [OPTIONS]\n\n{}", flags::help(FLAGS, STYLE))
}

fn wrong(text: impl std::fmt::Display) -> ToolError {
    let name = super::NAME;
    ToolError::usage(
        format!("{name}: {text}\nTry `conntrack -h' or 'conntrack --help' for more information."),
        2,
    )
}

pub(super) fn parse(session: &Session<'_>, args: &[String]) -> Result<Options, ToolError> {
    if args.is_empty() {
        return Ok(Options { command: Command::Help, ..Options::default() });
    }
    let parsed = flags::parse("conntrack", FLAGS, STYLE, &joined(args))?;
    let mut options = Options { command: command(&parsed)?, events: 7, ..Options::default() };
    options.table = table(&parsed)?;
    if matches!(options.table, Table::Dying | Table::Unconfirmed) && options.command != Command::List {
        return Err(wrong("Can't do that command with tables `dying' and `unconfirmed'"));
    }
    allowed(&parsed, &options)?;
    output(&parsed, &mut options, session.json)?;
    filter(&parsed, &mut options)?;
    Ok(options)
}

/// `-n ADDRESS`: the optional value may be a word of its own.
fn joined(args: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(args.len());
    let takes = ["-n", "-g", "-j", "--src-nat", "--dst-nat", "--any-nat"];
    for word in args {
        match out.last_mut() {
            Some(last) if takes.contains(&last.as_str()) && !word.starts_with('-') => {
                last.push('=');
                last.push_str(word);
            }
            _ => out.push(word.clone()),
        }
    }
    out
}

fn command(parsed: &Parsed) -> Result<Command, ToolError> {
    let commands = [
        ("dump", Command::List),
        ("get", Command::Get),
        ("delete", Command::Delete),
        ("create", Command::Create),
        ("add", Command::Create),
        ("update", Command::Update),
        ("event", Command::Events),
        ("flush", Command::Flush),
        ("count", Command::Count),
        ("stats", Command::Stats),
        ("help", Command::Help),
        ("version", Command::Version),
    ];
    let mut given = commands.iter().filter(|(name, _)| parsed.has(name));
    match (given.next(), given.next()) {
        (Some((_, command)), None) => Ok(*command),
        (None, _) => Err(wrong("no command given: -L, -G, -D, -I, -U, -E, -F, -C or -S")),
        _ => Err(wrong("Invalid commands combination")),
    }
}

fn table(parsed: &Parsed) -> Result<Table, ToolError> {
    match parsed.words.as_slice() {
        [] => Ok(Table::Conntrack),
        [one] => match one.as_str() {
            "conntrack" => Ok(Table::Conntrack),
            "expect" => Ok(Table::Expect),
            "dying" => Ok(Table::Dying),
            "unconfirmed" => Ok(Table::Unconfirmed),
            other => Err(wrong(format_args!("unknown type `{other}'"))),
        },
        [_, other, ..] => Err(wrong(format_args!("unknown argument `{other}'"))),
    }
}

/// Options that make no sense with the command are refused, as the original does.
fn allowed(parsed: &Parsed, options: &Options) -> Result<(), ToolError> {
    let command = options.command;
    let only = |names: &[&str], commands: &[Command]| {
        let given = names.iter().find(|name| parsed.has(name));
        match given {
            Some(name) if !commands.contains(&command) => {
                Err(wrong(format_args!("Illegal option `--{name}' with this command")))
            }
            _ => Ok(()),
        }
    };
    only(&["event-mask", "buffer-size"], &[Command::Events])?;
    only(&["zero"], &[Command::List])?;
    only(&["timeout"], &[Command::Create, Command::Update])?;
    only(
        &["output"],
        &[Command::List, Command::Get, Command::Delete, Command::Create, Command::Update, Command::Events],
    )?;
    let all =
        [Command::List, Command::Get, Command::Delete, Command::Create, Command::Update, Command::Events];
    only(
        &[
            "src",
            "orig-src",
            "dst",
            "orig-dst",
            "reply-src",
            "reply-dst",
            "proto",
            "protonum",
            "mark",
            "status",
        ],
        &all,
    )?;
    if options.table == Table::Expect
        && !matches!(command, Command::List | Command::Events | Command::Flush | Command::Count)
    {
        let why = "expectations are listed, counted, followed and flushed";
        return Err(ToolError::Refused {
            what: "conntrack: this command with the table expect".into(),
            why: why.into(),
            code: 2,
        });
    }
    Ok(())
}

fn output(parsed: &Parsed, options: &mut Options, json: bool) -> Result<(), ToolError> {
    for word in parsed.values("output").flat_map(|value| value.split(',')) {
        match word {
            "extended" => options.extras.layer3 = true,
            "id" => options.extras.id = true,
            "ktimestamp" => options.extras.stamps = true,
            "labels" => options.extras.labels = true,
            "timestamp" => options.timestamp = true,
            "xml" => options.form = Form::Xml,
            "save" => options.form = Form::Save,
            "json" => options.form = Form::Json,
            // Which program caused an event is always shown.
            "userspace" => {}
            other => return Err(wrong(format_args!("Bad parameter `{other}'"))),
        }
    }
    if json {
        options.form = Form::Json;
    }
    if let Some(mask) = parsed.value("event-mask") {
        options.events = 0;
        for word in mask.split(',') {
            options.events |= match word {
                "ALL" => 7,
                "NEW" => 1,
                "UPDATES" => 2,
                "DESTROY" => 4,
                other => return Err(wrong(format_args!("Bad parameter `{other}'"))),
            };
        }
    }
    options.buffer = number(parsed, "buffer-size")?;
    options.zero = parsed.has("zero");
    options.timeout = number(parsed, "timeout")?;
    Ok(())
}

fn filter(parsed: &Parsed, options: &mut Options) -> Result<(), ToolError> {
    let creating = matches!(options.command, Command::Create | Command::Update);
    let f = &mut options.filter;
    let net = |names: &[&str], mask: Option<&str>| -> Result<Option<IpNet>, ToolError> {
        let Some(text) = names.iter().find_map(|name| parsed.value(name)) else { return Ok(None) };
        let invalid = || wrong(format_args!("Invalid IP address `{text}'"));
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, mask.and_then(|name| parsed.value(name))),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let bits = Family::of(&address).bits();
        let length = match length {
            None => bits,
            Some(length) => prefix_length(length).filter(|length| *length <= bits).ok_or_else(invalid)?,
        };
        Ok(Some(IpNet::new(address, length)))
    };
    f.orig.src = net(&["src", "orig-src"], Some("mask-src"))?;
    f.orig.dst = net(&["dst", "orig-dst"], Some("mask-dst"))?;
    f.reply.src = net(&["reply-src"], None)?;
    f.reply.dst = net(&["reply-dst"], None)?;
    f.family = match parsed.value("family") {
        None => None,
        Some("ipv4") => Some(Family::Inet),
        Some("ipv6") => Some(Family::Inet6),
        Some(other) => return Err(wrong(format_args!("`{other}' unsupported protocol"))),
    };
    let nets = [&f.orig.src, &f.orig.dst, &f.reply.src, &f.reply.dst];
    for net in nets.into_iter().flatten() {
        let family = Family::of(&net.addr);
        if f.family.is_some_and(|known| known != family) {
            return Err(wrong("mismatched address family"));
        }
        f.family = Some(family);
    }
    if let Some(word) = parsed.value("proto").or_else(|| parsed.value("protonum")) {
        let proto = words::protocol_number(word);
        f.proto = Some(proto.ok_or_else(|| wrong(format_args!("`{word}' unsupported protocol")))?);
    }
    protocol_options(parsed, f)?;
    f.zone = number(parsed, "zone")?;
    f.orig_zone = number(parsed, "orig-zone")?;
    f.reply_zone = number(parsed, "reply-zone")?;
    let mark = parsed.value("mark").map(|text| masked(text).ok_or_else(|| bad("mark", text))).transpose()?;
    let status = parsed.value("status").map(status).transpose()?;
    if creating {
        (options.set_mark, options.set_status) = (mark, status);
    } else {
        f.mark = mark;
        f.status = status.unwrap_or(0);
    }
    for (name, source, destination) in
        [("src-nat", true, false), ("dst-nat", false, true), ("any-nat", true, true)]
    {
        for (_, value) in parsed.given().filter(|(given, _)| *given == name) {
            // A port behind the address only says where a new entry would lead.
            let address = value
                .map(|text| {
                    let whole = text.parse::<SocketAddr>().map(|whole| whole.ip());
                    text.parse().or(whole).map_err(|_| wrong(format_args!("Invalid IP address `{text}'")))
                })
                .transpose()?;
            f.nat.push(CtNat { source, destination, address });
        }
    }
    Ok(())
}

fn protocol_options(parsed: &Parsed, f: &mut CtFilter) -> Result<(), ToolError> {
    let needs = |names: &[&str], protocols: &[u8]| -> Result<(), ToolError> {
        let given = names.iter().find(|name| parsed.has(name));
        match given {
            Some(name) if !f.proto.is_some_and(|proto| protocols.contains(&proto)) => {
                Err(wrong(format_args!("unknown option `--{name}': it needs its protocol (-p)")))
            }
            _ => Ok(()),
        }
    };
    needs(
        &["sport", "orig-port-src", "dport", "orig-port-dst", "reply-port-src", "reply-port-dst"],
        &[6, 17, 33, 132, 136],
    )?;
    needs(&["state"], &[6, 33, 132])?;
    needs(&["icmp-type", "icmp-code", "icmp-id"], &[1])?;
    needs(&["icmpv6-type", "icmpv6-code", "icmpv6-id"], &[58])?;
    needs(&["srckey", "orig-key-src", "dstkey", "orig-key-dst", "reply-key-src", "reply-key-dst"], &[47])?;
    needs(&["orig-vtag", "reply-vtag"], &[132])?;
    let first = |names: &[&str]| -> Result<Option<u16>, ToolError> {
        for name in names {
            if let Some(number) = number(parsed, name)? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    };
    f.orig = CtSide {
        sport: first(&["sport", "orig-port-src", "srckey", "orig-key-src", "icmp-id", "icmpv6-id"])?,
        dport: first(&["dport", "orig-port-dst", "dstkey", "orig-key-dst"])?,
        ..f.orig.clone()
    };
    f.reply = CtSide {
        sport: first(&["reply-port-src", "reply-key-src"])?,
        dport: first(&["reply-port-dst", "reply-key-dst"])?,
        ..f.reply.clone()
    };
    let either = |a: &str, b: &str| Ok::<_, ToolError>(number(parsed, a)?.or(number(parsed, b)?));
    f.icmp_type = either("icmp-type", "icmpv6-type")?;
    f.icmp_code = either("icmp-code", "icmpv6-code")?;
    // As the original, which takes them in host order.
    let tag = |name| {
        Ok::<_, ToolError>(number(parsed, name)?.map(|tag: u32| u32::from_be_bytes(tag.to_ne_bytes())))
    };
    f.vtags = (tag("orig-vtag")?, tag("reply-vtag")?);
    if let (Some(word), Some(proto)) = (parsed.value("state"), f.proto) {
        let name = words::protocol(proto).to_ascii_uppercase();
        let state = words::state_number(proto, word);
        f.state = Some(state.ok_or_else(|| wrong(format_args!("unknown {name} state `{word}'")))?);
    }
    Ok(())
}

fn status(text: &str) -> Result<u32, ToolError> {
    text.split(',').try_fold(0, |bits, word| match word {
        "UNSET" => Ok(bits),
        word => words::status_bit(word)
            .map(|bit| bits | bit)
            .ok_or_else(|| wrong(format_args!("Bad parameter `{word}'"))),
    })
}

fn bad(name: &str, text: &str) -> ToolError {
    wrong(format_args!("invalid value `{text}' of --{name}"))
}

/// A decimal or `0x` number.
fn integer(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn number<T: TryFrom<u64>>(parsed: &Parsed, name: &str) -> Result<Option<T>, ToolError> {
    let Some(text) = parsed.value(name) else { return Ok(None) };
    let number = integer(text).and_then(|number| T::try_from(number).ok());
    number.map(Some).ok_or_else(|| bad(name, text))
}

/// `VALUE[/MASK]`.
fn masked(text: &str) -> Option<(u32, u32)> {
    let (value, mask) = text.split_once('/').map_or((text, None), |(value, mask)| (value, Some(mask)));
    let word = |text| u32::try_from(integer(text)?).ok();
    Some((word(value)?, mask.map_or(Some(u32::MAX), word)?))
}

/// A prefix length, or a mask such as 255.255.255.0.
fn prefix_length(text: &str) -> Option<u8> {
    if let Ok(length) = text.parse() {
        return Some(length);
    }
    let (ones, zeros) = match text.parse().ok()? {
        IpAddr::V4(mask) => (mask.to_bits().leading_ones(), mask.to_bits().trailing_zeros().min(32)),
        IpAddr::V6(mask) => (mask.to_bits().leading_ones(), mask.to_bits().trailing_zeros().min(128)),
    };
    (ones + zeros == 32 || ones + zeros == 128).then(|| u8::try_from(ones).ok())?
}
