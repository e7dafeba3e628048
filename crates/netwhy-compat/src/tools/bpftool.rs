//! `bpftool`: programs, maps and links of the machine, and what is attached to its network devices.

use std::io::Write;

use netwhy_collect::bpf::{BpfMap, BpfProgram};
use netwhy_sys::bpf::{LinkAt, LinkInfo};
use serde_json::{Map, Value, json};

use crate::flags::{self, Flag, Style};
use crate::{Session, Tool, ToolError};

/// `bpftool`.
pub static TOOL: Tool = Tool { name: "bpftool", aliases: &[], about: "BPF programs, maps and links", run };

const STYLE: Style = Style { single_dash: false, anywhere: false, code: 255 };

const FLAGS: &[Flag] = &[
    Flag::switch('j', "json", "JSON"),
    Flag::switch('p', "pretty", "JSON over many lines"),
    Flag::switch('h', "help", "this text"),
    Flag::switch('V', "version", "the version"),
    Flag::switch('f', "bpffs", "paths of pinned objects").refused("pinned paths are not searched for"),
    Flag::switch('m', "mapcompat", "maps of old objects").refused("no objects are loaded"),
    Flag::switch('n', "nomount", "mount nothing").ignored("nothing is ever mounted"),
    Flag::switch('d', "debug", "the tool's own diagnostics").refused("there are none"),
    Flag::switch('L', "use-loader", "the loader").refused("no objects are loaded"),
    Flag::value('B', "base-btf", "FILE", "type information").refused("type information is not shown"),
];

fn usage(text: impl Into<String>) -> ToolError {
    ToolError::usage(format!("Error: {}", text.into()), 255)
}

fn refused(what: &str, why: &str) -> ToolError {
    ToolError::Refused { what: format!("bpftool {what}"), why: why.into(), code: 255 }
}

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = flags::parse("bpftool", FLAGS, STYLE, args)?;
    if parsed.has("version") {
        writeln!(session.out, "bpftool v7.1.0")?;
        return Ok(0);
    }
    let words: Vec<&str> = parsed.words.iter().map(String::as_str).collect();
    if parsed.has("help") || words.is_empty() || words.last() == Some(&"help") {
        let what = "prog|map|link show [id N], map dump id N, net show";
        write!(session.out, "Usage: bpftool [OPTIONS] {what}\n\n{}", flags::help(FLAGS, STYLE))?;
        return Ok(0);
    }
    let form = Form {
        json: parsed.has("json") || parsed.has("pretty") || session.json,
        pretty: parsed.has("pretty"),
    };
    match words.as_slice() {
        ["prog" | "p" | "program"] | ["prog" | "program", "show" | "list", ..] => {
            programs(session, form, &words)
        }
        ["map" | "m"] | ["map", "show" | "list", ..] => maps(session, form, &words),
        ["map", "dump", ..] => dump(session, form, &words),
        ["link"] | ["link", "show" | "list", ..] => links(session, form, &words),
        ["net"] | ["net", "show" | "list"] => net(session, form),
        ["prog", "dump", ..] => Err(refused("prog dump", "instructions are not disassembled")),
        ["prog" | "map" | "link" | "net", other, ..] => {
            Err(refused(&words.join(" "), &format!("`{other}' changes something or is not understood here")))
        }
        [other, ..] => Err(refused(other, "netwhy shows programs, maps, links and the net")),
        [] => Err(usage("no command")),
    }
}

#[derive(Clone, Copy)]
struct Form {
    json: bool,
    pretty: bool,
}

/// `[id N]` behind `show`.
fn id(words: &[&str]) -> Result<Option<u32>, ToolError> {
    match words.get(2..).unwrap_or(&[]) {
        [] => Ok(None),
        ["id", number] => match number.parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(usage(format!("can't parse {number} as id"))),
        },
        ["id"] => Err(usage("'id' needs at least 1 arguments, 0 found")),
        [other, ..] => Err(refused(
            &format!("{} {other}", words.join(" ")),
            "objects are named by id; bpftool prog show lists ids",
        )),
    }
}

fn finish(out: &mut dyn Write, form: Form, values: Vec<Value>, only: bool) -> Result<(), ToolError> {
    let value = match (only, values.len()) {
        (true, 1) => values.into_iter().next().unwrap_or_default(),
        _ => Value::Array(values),
    };
    let text = if form.pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
    writeln!(out, "{}", text.unwrap_or_default())?;
    Ok(())
}

fn failed(only: Option<u32>) -> impl Fn(netwhy_collect::CollectError) -> ToolError {
    move |error| {
        let reason = error.errno().map_or_else(|| error.to_string(), |errno| errno.to_string());
        let text = match only {
            Some(id) => format!("Error: get by id ({id}): {reason}"),
            None => format!("Error: can't get next object: {reason}"),
        };
        ToolError::failed(text, 255)
    }
}

fn list(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// When the kernel loaded it, in seconds since 1970.
fn loaded_at(one: &BpfProgram) -> i64 {
    let now = netwhy_sys::clock::realtime();
    let boot = now.saturating_sub(netwhy_sys::clock::since_boot());
    i64::try_from((boot + one.info.loaded).as_secs()).unwrap_or(0)
}

fn programs(session: &mut Session<'_>, form: Form, words: &[&str]) -> Result<u8, ToolError> {
    let only = id(words)?;
    let all = session.collector()?.bpf_all_programs(only).map_err(failed(only))?;
    if form.json {
        let values = all.iter().map(program_json).collect();
        finish(session.out, form, values, only.is_some())?;
        return Ok(0);
    }
    for one in &all {
        program(session.out, one)?;
    }
    Ok(0)
}

fn shown(text: &str) -> std::borrow::Cow<'_, str> {
    netwhy_render::escape::escape_terminal(text)
}

fn program(out: &mut dyn Write, one: &BpfProgram) -> std::io::Result<()> {
    let info = &one.info;
    write!(out, "{}: {}  ", info.id, info.kind.name())?;
    if !info.name.is_empty() {
        write!(out, "name {}  ", shown(&info.name))?;
    }
    write!(out, "tag {}", hex(&info.tag))?;
    if info.gpl {
        write!(out, "  gpl")?;
    }
    if info.runs > 0 {
        write!(out, " run_time_ns {} run_cnt {}", info.run_time_ns, info.runs)?;
    }
    if info.recursion_misses > 0 {
        write!(out, " recursion_misses {}", info.recursion_misses)?;
    }
    let moment = netwhy_sys::clock::local_time(loaded_at(one), "%FT%T%z").unwrap_or_default();
    writeln!(out, "\n\tloaded_at {moment}  uid {}", info.uid)?;
    write!(out, "\txlated {}B", info.translated_bytes)?;
    match info.jited_bytes {
        0 => write!(out, "  not jited")?,
        bytes => write!(out, "  jited {bytes}B")?,
    }
    if let Some(memlock) = one.memlock {
        write!(out, "  memlock {memlock}B")?;
    }
    if !info.maps.is_empty() {
        write!(out, "  map_ids {}", list(&info.maps))?;
    }
    if info.btf_id > 0 {
        write!(out, "\n\tbtf_id {}", info.btf_id)?;
    }
    writeln!(out)
}

fn program_json(one: &BpfProgram) -> Value {
    let info = &one.info;
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| _ = all.insert(name.to_owned(), value);
    put("id", json!(info.id));
    put("type", json!(info.kind.name()));
    if !info.name.is_empty() {
        put("name", json!(info.name));
    }
    put("tag", json!(hex(&info.tag)));
    put("gpl_compatible", json!(info.gpl));
    if info.runs > 0 {
        put("run_time_ns", json!(info.run_time_ns));
        put("run_cnt", json!(info.runs));
    }
    put("loaded_at", json!(loaded_at(one)));
    put("uid", json!(info.uid));
    put("bytes_xlated", json!(info.translated_bytes));
    put("jited", json!(info.jited_bytes > 0));
    if info.jited_bytes > 0 {
        put("bytes_jited", json!(info.jited_bytes));
    }
    if let Some(memlock) = one.memlock {
        put("bytes_memlock", json!(memlock));
    }
    if !info.maps.is_empty() {
        put("map_ids", json!(info.maps));
    }
    if info.btf_id > 0 {
        put("btf_id", json!(info.btf_id));
    }
    Value::Object(all)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn maps(session: &mut Session<'_>, form: Form, words: &[&str]) -> Result<u8, ToolError> {
    let only = id(words)?;
    let all = session.collector()?.bpf_all_maps(only).map_err(failed(only))?;
    if form.json {
        finish(session.out, form, all.iter().map(map_json).collect(), only.is_some())?;
        return Ok(0);
    }
    for one in &all {
        map(session.out, one)?;
    }
    Ok(0)
}

fn map(out: &mut dyn Write, one: &BpfMap) -> std::io::Result<()> {
    let info = &one.info;
    write!(out, "{}: {}  ", info.id, info.kind.name())?;
    if !info.name.is_empty() {
        write!(out, "name {}  ", shown(&info.name))?;
    }
    writeln!(out, "flags {:#x}", info.flags)?;
    write!(out, "\tkey {}B  value {}B  max_entries {}", info.key_size, info.value_size, info.max_entries)?;
    if let Some(memlock) = one.memlock {
        write!(out, "  memlock {memlock}B")?;
    }
    if info.btf_id > 0 {
        write!(out, "\n\tbtf_id {}", info.btf_id)?;
    }
    if one.frozen {
        write!(out, "\n\tfrozen")?;
    }
    writeln!(out)
}

fn map_json(one: &BpfMap) -> Value {
    let info = &one.info;
    let mut value = json!({
        "id": info.id,
        "type": info.kind.name(),
        "flags": info.flags,
        "bytes_key": info.key_size,
        "bytes_value": info.value_size,
        "max_entries": info.max_entries,
        "frozen": u8::from(one.frozen),
    });
    if let Value::Object(all) = &mut value {
        if !info.name.is_empty() {
            all.insert("name".into(), json!(info.name));
        }
        if let Some(memlock) = one.memlock {
            all.insert("bytes_memlock".into(), json!(memlock));
        }
        if info.btf_id > 0 {
            all.insert("btf_id".into(), json!(info.btf_id));
        }
    }
    value
}

/// `map dump id N`: bytes, whatever types they have.
fn dump(session: &mut Session<'_>, form: Form, words: &[&str]) -> Result<u8, ToolError> {
    let Some(number) = id(words)? else { return Err(usage("'map dump' needs 'id N'")) };
    let collector = session.collector()?;
    let info = collector.bpf_all_maps(Some(number)).map_err(failed(Some(number)))?;
    let Some(BpfMap { info, .. }) = info.first() else { return Ok(255) };
    if info.kind.is_per_cpu() {
        return Err(refused("map dump", "values of each CPU are not written out; netwhy probe prints them"));
    }
    let mut text = Vec::new();
    let (mut count, mut values) = (0, Vec::new());
    collector
        .bpf_map_entries(number, |key, value| {
            let value = value.unwrap_or(&[]);
            count += 1;
            if form.json {
                let bytes =
                    |bytes: &[u8]| bytes.iter().map(|byte| format!("0x{byte:02x}")).collect::<Vec<_>>();
                values.push(json!({ "key": bytes(key), "value": bytes(value) }));
            } else if key.len() + value.len() <= 24 {
                text.extend_from_slice(
                    format!("key: {}  value: {}\n", spaced(key), spaced(value)).as_bytes(),
                );
            } else {
                text.extend_from_slice(
                    format!("key:\n{}\nvalue:\n{}\n", spaced(key), spaced(value)).as_bytes(),
                );
            }
        })
        .map_err(failed(Some(number)))?;
    if form.json {
        finish(session.out, form, values, false)?;
        return Ok(0);
    }
    session.out.write_all(&text)?;
    writeln!(session.out, "Found {count} element{}", if count == 1 { "" } else { "s" })?;
    Ok(0)
}

/// Bytes in hexadecimal, sixteen a line, with a gap in the middle.
fn spaced(bytes: &[u8]) -> String {
    let line = |line: &[u8]| {
        let half = |half: &[u8]| half.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        line.chunks(8).map(half).collect::<Vec<_>>().join("  ")
    };
    bytes.chunks(16).map(line).collect::<Vec<_>>().join("\n")
}

fn links(session: &mut Session<'_>, form: Form, words: &[&str]) -> Result<u8, ToolError> {
    let only = id(words)?;
    let all = session.collector()?.bpf_all_links(only).map_err(failed(only))?;
    if form.json {
        finish(session.out, form, all.iter().map(link_json).collect(), only.is_some())?;
        return Ok(0);
    }
    for one in &all {
        write!(session.out, "{}: {}  prog {}  ", one.id, one.kind.name(), one.program)?;
        match &one.at {
            LinkAt::RawTracepoint { name } => write!(session.out, "\n\ttp '{}'  ", shown(name))?,
            LinkAt::Tracing { attach, object, btf_id } => {
                write!(
                    session.out,
                    "\n\tattach_type {}  target_obj_id {object}  target_btf_id {btf_id}  ",
                    attach.name()
                )?;
            }
            LinkAt::Cgroup { id, attach } => {
                write!(session.out, "\n\tcgroup_id {id}  attach_type {}  ", attach.name())?;
            }
            LinkAt::Iter { target } => write!(session.out, "\n\ttarget_name {}  ", shown(target))?,
            LinkAt::Netns { inode, attach } => {
                write!(session.out, "\n\tnetns_ino {inode}  attach_type {}  ", attach.name())?;
            }
            LinkAt::Xdp { ifindex } => write!(session.out, "\n\tifindex {ifindex}  ")?,
            LinkAt::Tcx { ifindex, attach } | LinkAt::Netkit { ifindex, attach } => {
                write!(session.out, "\n\tifindex {ifindex}  attach_type {}  ", attach.name())?;
            }
            LinkAt::Netfilter { family, hook, priority, .. } => {
                write!(session.out, "\n\tpf: {family} hook: {hook} prio {priority}")?;
            }
            LinkAt::Other => {}
        }
        writeln!(session.out)?;
    }
    Ok(0)
}

fn link_json(one: &LinkInfo) -> Value {
    let mut value = json!({ "id": one.id, "type": one.kind.name(), "prog_id": one.program });
    let at = match &one.at {
        LinkAt::RawTracepoint { name } => json!({ "tp_name": name }),
        LinkAt::Tracing { attach, object, btf_id } => {
            json!({ "attach_type": attach.name(), "target_obj_id": object, "target_btf_id": btf_id })
        }
        LinkAt::Cgroup { id, attach } => json!({ "cgroup_id": id, "attach_type": attach.name() }),
        LinkAt::Iter { target } => json!({ "target_name": target }),
        LinkAt::Netns { inode, attach } => json!({ "netns_ino": inode, "attach_type": attach.name() }),
        LinkAt::Xdp { ifindex } => json!({ "ifindex": ifindex }),
        LinkAt::Tcx { ifindex, attach } | LinkAt::Netkit { ifindex, attach } => {
            json!({ "ifindex": ifindex, "attach_type": attach.name() })
        }
        LinkAt::Netfilter { family, hook, priority, flags } => {
            json!({ "pf": family, "hook": hook, "prio": priority, "flags": flags })
        }
        LinkAt::Other => json!({}),
    };
    if let (Value::Object(all), Value::Object(at)) = (&mut value, at) {
        all.extend(at);
    }
    value
}

/// What is attached to devices and to the namespace.
fn net(session: &mut Session<'_>, form: Form) -> Result<u8, ToolError> {
    let collector = session.collector()?;
    let links = collector.links();
    let name = |index: u32| {
        let known = links.value().and_then(|links| links.0.iter().find(|link| link.index == index));
        known.map_or_else(|| format!("if{index}"), |link| link.name.clone())
    };
    let programs = match collector.bpf(None, &[]) {
        netwhy_facts::Reading::Known { value, .. } => value.0,
        other => {
            let why = other.absence().map_or_else(|| "not read".to_owned(), |absence| absence.to_string());
            return Err(ToolError::failed(format!("Error: {why}"), 255));
        }
    };
    let of = |prefix: &'static [&'static str]| {
        programs.iter().filter(move |one| prefix.iter().any(|prefix| one.hook.starts_with(prefix)))
    };
    if form.json {
        let device = |one: &netwhy_facts::bpf::BpfAttached| {
            let index = one.ifindex.unwrap_or(0);
            json!({ "devname": name(index), "ifindex": index, "kind": one.hook, "id": one.prog_id, "name": one.name })
        };
        let value = json!([{
            "xdp": of(&["xdp"]).map(device).collect::<Vec<_>>(),
            "tc": of(&["tc", "netkit"]).map(device).collect::<Vec<_>>(),
            "flow_dissector": of(&["flow-dissector"]).map(|one| json!({ "id": one.prog_id })).collect::<Vec<_>>(),
        }]);
        writeln!(session.out, "{value}")?;
        return Ok(0);
    }
    writeln!(session.out, "xdp:")?;
    for one in of(&["xdp"]) {
        let index = one.ifindex.unwrap_or(0);
        let kind = if one.hook == "xdp-generic" { "generic" } else { "driver" };
        writeln!(session.out, "{}({index}) {kind} id {}", name(index), one.prog_id)?;
    }
    writeln!(session.out, "\ntc:")?;
    for one in of(&["tc", "netkit"]) {
        let index = one.ifindex.unwrap_or(0);
        let hook = one.hook.replace("tc-", "clsact/").replace("tcx-", "tcx/").replace("netkit-", "netkit/");
        writeln!(session.out, "{}({index}) {hook} {} id {}", name(index), shown(&one.name), one.prog_id)?;
    }
    writeln!(session.out, "\nflow_dissector:")?;
    for one in of(&["flow-dissector"]) {
        writeln!(session.out, "id {}", one.prog_id)?;
    }
    writeln!(session.out)?;
    Ok(0)
}
