//! `netwhy pwru`, also `netwhy packet`: follows packets through every reachable point of the kernel.

mod census;
pub mod pcapng;
mod script;
mod show;

use std::cell::RefCell;
use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;

use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::record::{Record, Sink, Table};
use netwhy_bpf::session::{self, Format, Options, RunError};
use netwhy_lang::program::ProgramSpec;
use netwhy_lang::types::Types;
use netwhy_render::escape::escape_terminal;

use crate::header::{self, Tool};
use crate::{manual, options};
use show::Show;

/// The manual and the options.
const HEADER: &str = include_str!("header.nw");
/// The line above the steps.
pub(crate) const HEADINGS: &str =
    "PKT CPU PROCESS          NETNS      MARK/x  IFACE      PROTO MTU   LEN   DELTA_US TUPLE FUNC";

/// Options of pwru that mean nothing here, and what to do instead.
const REFUSED: [(&str, &str); 16] = [
    ("--all-kmods", "functions of modules are not probed; their packets are seen at tracepoints"),
    ("--kmods", "functions of modules are not probed; their packets are seen at tracepoints"),
    ("--kernel-btf", "types come from the running kernel; leave it out"),
    ("--filter-non-skb-funcs", "functions without a packet: probe them with `netwhy bpftrace`"),
    (
        "--filter-skb-expr",
        "expressions on the structure: use --filter-mark, --filter-ifname or a pcap expression",
    ),
    ("--filter-trace-tc", "TC programs are not traced; packets are seen before and after them"),
    ("--filter-trace-xdp", "XDP programs are not traced; packets are seen once the stack has them"),
    ("--filter-xdp-expr", "XDP programs are not traced; packets are seen once the stack has them"),
    ("--filter-track-bpf-helpers", "helpers are not traced"),
    ("--filter-tunnel-pcap-l2", "match the outer header; what is inside is followed once it is unpacked"),
    ("--filter-tunnel-pcap-l3", "match the outer header; what is inside is followed once it is unpacked"),
    ("--output-skb-cb", "use --output-skb, or `netwhy bpftrace` for fields of your own"),
    ("--output-skb-metadata", "use --output-skb, or `netwhy bpftrace` for fields of your own"),
    ("--output-skb-shared-info", "use --output-skb, or `netwhy bpftrace` for fields of your own"),
    ("--output-tunnel", "what is inside a tunnel is followed once it is unpacked"),
    ("--output-bpfmap", "maps of BPF programs are not shown; bpftool map shows them"),
];

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// pcap expression, empty for every packet.
    pub expression: String,
    netns: Option<u64>,
    mark: Option<(u64, u64)>,
    device: Option<String>,
    func: String,
    backend: Option<String>,
    skb: bool,
    stack: bool,
    caller: bool,
    flags: bool,
    json: bool,
    pcap: bool,
    timestamp: String,
    limit: Option<u64>,
    duration: Option<u64>,
}

/// Its manual as that of a tool.
///
/// # Panics
/// When the header is wrong, which a test makes sure it is not.
#[must_use]
pub fn tool() -> Tool {
    header::parse(HEADER).expect("the header is tested")
}

/// Reads arguments.
pub fn parse(args: &[String]) -> Result<(Ask, options::Call), String> {
    for arg in args {
        let name = arg.split('=').next().unwrap_or(arg);
        if let Some((_, instead)) = REFUSED.iter().find(|(known, _)| *known == name) {
            return Err(format!("{name}: {instead}"));
        }
    }
    let call = options::parse(&tool(), args)?;
    let mut parts: Vec<String> = call.value("filter").map(str::to_owned).into_iter().collect();
    for (name, word) in [
        ("srcip", "src host"),
        ("dstip", "dst host"),
        ("srcport", "src port"),
        ("dstport", "dst port"),
        ("anyport", "port"),
        ("proto", ""),
    ] {
        parts.extend(call.value(name).map(|value| format!("{word} {value}").trim().to_owned()));
    }
    let expression = match parts.as_slice() {
        [one] => one.clone(),
        all => all.iter().map(|part| format!("({part})")).collect::<Vec<_>>().join(" and "),
    };
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let mark = match call.value("mark") {
        None => None,
        Some(text) => {
            let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
            let both = number(value).zip(number(mask)).filter(|(v, m)| v | m <= u64::from(u32::MAX));
            Some(both.ok_or_else(|| format!("`--filter-mark`: VALUE or VALUE/MASK, not `{text}`"))?)
        }
    };
    let timestamp = call.value("timestamp").unwrap_or("none").to_owned();
    if !["none", "current", "absolute", "relative"].contains(&timestamp.as_str()) {
        return Err(format!("`--timestamp`: current, relative, absolute or none, not `{timestamp}`"));
    }
    let backend = call.value("backend").map(str::to_owned);
    if let Some(other) =
        backend.as_ref().filter(|b| !["kprobe", "kprobe-multi", "tracepoint"].contains(&b.as_str()))
    {
        return Err(format!("`--backend`: kprobe-multi, kprobe or tracepoint, not `{other}`"));
    }
    let ask = Ask {
        expression,
        netns: call.number("netns"),
        mark: mark.map(|(value, mask)| (value & mask, mask)),
        device: call.value("ifname").map(str::to_owned),
        func: call.value("func").unwrap_or("*").to_owned(),
        backend,
        skb: call.on("skb"),
        stack: call.on("stack"),
        caller: call.on("caller"),
        flags: call.on("flags"),
        json: call.json || call.on("json"),
        pcap: call.value("pcap").is_some(),
        timestamp,
        limit: call.number("limit"),
        duration: call.number("duration"),
    };
    Ok((ask, call))
}

/// The script for this kernel: text, number of events and of functions.
pub fn script(ask: &Ask, kernel: &Kernel) -> (String, usize, usize) {
    let events = census::events(kernel, &ask.func);
    let probing = kernel.probing();
    let functions = match ask.backend.as_deref() {
        Some("tracepoint") => census::Functions::default(),
        Some("kprobe") if probing.kprobe().yes() => census::functions(kernel, &ask.func),
        Some("kprobe") => census::Functions::default(),
        // Thousands of single probes take minutes to come and go.
        _ if probing.kprobe_multi().yes() => census::functions(kernel, &ask.func),
        _ => census::Functions::default(),
    };
    let reason = kernel
        .raw_tracepoint("kfree_skb")
        .is_some_and(|signature| signature.params.iter().any(|param| param.name == "reason"));
    let count = functions.iter().map(Vec::len).sum();
    (script::script(ask, &events, &functions, reason), events.len(), count)
}

/// Compiles what is asked for.
pub fn compile(ask: &Ask, kernel: &Kernel) -> Result<(ProgramSpec, usize, usize), String> {
    let (text, events, functions) = script(ask, kernel);
    let options = netwhy_lang::Options::default();
    match netwhy_lang::compile(&text, &options, kernel, kernel, &kernel.features(false)) {
        Ok(compiled) => Ok((compiled.spec, events, functions)),
        Err(error) => Err(error.render("pwru", &text)),
    }
}

/// Runs it from its arguments to its exit code.
pub fn main(args: &[String]) -> u8 {
    let (ask, call) = match parse(args) {
        Ok(both) => both,
        Err(error) => {
            eprintln!("pwru: {}", escape_terminal(&error));
            eprintln!("{}", manual::usage(&tool()));
            return 2;
        }
    };
    if call.help {
        return crate::run::print(&manual::text(&tool()));
    }
    match with_kernel(&ask, &call) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("pwru: {error}");
            1
        }
    }
}

fn with_kernel(ask: &Ask, call: &options::Call) -> Result<(), String> {
    let kernel = Kernel::open().map_err(|error| error.to_string())?;
    if call.print {
        crate::run::print(&script(ask, &kernel).0);
        return Ok(());
    }
    let (spec, events, functions) = compile(ask, &kernel)?;
    if call.ebpf {
        crate::run::print(&spec.to_string());
        return Ok(());
    }
    if call.on("track") {
        eprintln!("pwru: note: packets are always followed by their data; the option changes nothing");
    }
    if functions == 0 && ask.backend.as_deref() != Some("tracepoint") {
        eprintln!(
            "pwru: note: no kprobe-multi here: {events} tracepoints instead; --output-stack shows functions between them"
        );
    } else {
        eprintln!("pwru: {events} tracepoints, {functions} functions");
    }
    let create = |name: &str| std::fs::File::create(name).map_err(|error| format!("{name}: {error}"));
    let mut out: Box<dyn Write> = match call.value("file") {
        Some(name) => Box::new(BufWriter::new(create(name)?)),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let mut capture = call.value("pcap").map(create).transpose()?;
    let ready = || {
        if let Some(name) = call.value("ready") {
            std::fs::write(name, "")?;
        }
        Ok(None)
    };
    let (packets, lost) =
        run(ask, &spec, &kernel, &mut *out, ready).map_err(|error| crate::run::plain_error(&error))?;
    if let Some(file) = &mut capture {
        let boot = netwhy_sys::clock::realtime().saturating_sub(netwhy_sys::clock::since_boot());
        let boot = u64::try_from(boot.as_nanos()).unwrap_or(0);
        file.write_all(&pcapng::file(&packets, boot)).map_err(|error| error.to_string())?;
    }
    if lost > 0 {
        eprintln!("pwru: {lost} events were lost: the ring was full");
    }
    Ok(())
}

/// Runs a compiled script: the packets that were kept, and how many events were lost.
#[allow(
    private_interfaces,
    reason = "the packets are for the caller in this crate; tests look at the output"
)]
pub fn run(
    ask: &Ask,
    spec: &ProgramSpec,
    kernel: &Kernel,
    out: &mut dyn Write,
    mut ready: impl FnMut() -> std::io::Result<Option<OwnedFd>>,
) -> Result<(Vec<pcapng::Packet>, u64), RunError> {
    let show = RefCell::new(Show::new(ask, out));
    let mut shared = Shared(&show);
    let options = Options {
        format: Format::Text,
        quiet: true,
        dry: false,
        out: &mut std::io::sink(),
        sink: Some(&mut shared),
        ready: Box::new(|| {
            show.borrow_mut().begin()?;
            ready()
        }),
    };
    let outcome = session::run(spec, kernel, options)?;
    Ok((show.into_inner().packets(), outcome.lost))
}

struct Shared<'a, 'b>(&'a RefCell<Show<'b>>);

impl Sink for Shared<'_, '_> {
    fn record(&mut self, record: Record<'_>) -> std::io::Result<()> {
        self.0.borrow_mut().record(record)
    }
    fn table(&mut self, table: Table<'_>) -> std::io::Result<()> {
        self.0.borrow_mut().table(table)
    }
    fn text(&mut self, text: &str) -> std::io::Result<()> {
        self.0.borrow_mut().text(text)
    }
    fn rest(&mut self) -> std::io::Result<()> {
        self.0.borrow_mut().rest()
    }
    fn done(&self) -> bool {
        self.0.borrow().done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(words: &str) -> Result<Ask, String> {
        parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).map(|(ask, _)| ask)
    }

    #[test]
    fn old_and_present_options_become_an_expression() {
        assert_eq!(ask("tcp and dst port 443").unwrap().expression, "tcp and dst port 443");
        assert_eq!(ask("--filter-dst-ip 8.8.8.8").unwrap().expression, "dst host 8.8.8.8");
        let both = ask("--filter-proto tcp --filter-dst-port 443 --filter-src-ip=192.0.2.1").unwrap();
        assert_eq!(both.expression, "(src host 192.0.2.1) and (dst port 443) and (tcp)");
        assert_eq!(ask("--output-tuple --output-skb").unwrap().expression, "");
        assert_eq!(ask("--filter-netns 4026532000").unwrap().netns, Some(4_026_532_000));
        assert_eq!(ask("--filter-netns 12345").unwrap().netns, Some(12345));
        assert_eq!(ask("--filter-mark 0x10/0xf0").unwrap().mark, Some((0x10, 0xf0)));
        assert_eq!(ask("--filter-track-skb-by-stackid").unwrap().expression, "");
        assert!(ask("--output-json").unwrap().json);
    }

    #[test]
    fn what_is_not_taken_over_is_refused_with_a_hint() {
        for (option, _) in REFUSED {
            let error = ask(option).unwrap_err();
            assert!(error.starts_with(option) && error.len() > option.len() + 10, "{error}");
        }
        assert!(ask("--filter-mark many").unwrap_err().contains("VALUE/MASK"));
        assert!(ask("--timestamp soon").unwrap_err().contains("relative"));
        assert!(ask("--moon").unwrap_err().contains("no option"));
    }

    #[test]
    fn the_sample_has_the_headings() {
        assert!(tool().sample.iter().any(|line| line == HEADINGS));
    }
}
